"""The files that the local backend finds, checks and keeps."""

import asyncio
import hashlib
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hostler_domain.errors import PermanentError
from hostler_provisioner.backend import Launch, Step
from hostler_provisioner.local.models import SHIPPED, LocalModel, ModelFile, WeightsKind, available, locate
from hostler_provisioner.local.records import ReplicaFolder, ReplicaRecord, folders
from hostler_provisioner.local.weights import Weights

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

RECORD = ReplicaRecord(
    replica_id="r-1",
    job_id="job",
    model="owner/name",
    served_name="name",
    parameters={"threads": 1, "embedding": True, "pooling": "mean"},
    env={"A": "b"},
    step=Step.LOADING,
    since=NOW,
    port=4000,
    pid=77,
    create_time=1.5,
)
LAUNCH = Launch(
    replica_id="r-1",
    job_id="job",
    project="default",
    model="owner/name",
    served_name="name",
    runtime="llamacpp",
    args=(),
    env=(),
    cpu_cores=1.0,
    memory_bytes=2**30,
    api_key="the-replicas-own-key",
    hf_token="the-users-token",
)


def test_secrets_are_not_in_what_a_launch_shows_of_itself():
    assert "the-" not in repr(LAUNCH)


def test_a_record_reads_as_it_was_written(tmp_path):
    folder = ReplicaFolder(tmp_path, "r-1")
    folder.create(RECORD, LAUNCH)
    changed = replace(RECORD, step=Step.GONE, exit_code=-9, detail="ended")
    folder.write(changed)

    assert folder.read() == changed
    assert [found.path for found in folders(tmp_path)] == [folder.path]


def test_a_replicas_files_are_for_this_user_only_and_its_key_can_be_forgotten(tmp_path):
    folder = ReplicaFolder(tmp_path, "r-1")
    folder.create(RECORD, LAUNCH)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()}
    assert modes == {"key": 0o600, "replica.json": 0o600}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert folder.key() == LAUNCH.api_key
    assert LAUNCH.api_key not in (folder.path / "replica.json").read_text()
    folder.forget_key()
    assert folder.key() is None


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"replica_id": 5}'])
def test_a_record_that_cannot_be_read_is_one_of_a_replica_that_is_gone(tmp_path, content):
    folder = ReplicaFolder(tmp_path, "r-1")
    folder.path.mkdir()
    if content is not None:
        (folder.path / "replica.json").write_bytes(content)

    record = folder.read()

    assert (record.replica_id, record.step, record.pid) == ("r-1", Step.GONE, None)


@pytest.mark.parametrize("replica_id", ["", ".", "..", "../x", "a/b", "-rf", "a b", "a\n", "x" * 129])
def test_an_id_that_is_no_plain_folder_name_is_refused(tmp_path, replica_id):
    with pytest.raises(PermanentError, match="replica id"):
        ReplicaFolder(tmp_path, replica_id)


def test_a_log_is_emptied_only_when_it_has_outgrown_its_bound(tmp_path):
    folder = ReplicaFolder(tmp_path, "r-1")
    folder.create(RECORD, LAUNCH)
    folder.shorten_log(4)
    folder.log_path.write_text("1234")
    folder.shorten_log(4)
    assert folder.log_tail() == "1234"
    folder.shorten_log(3)
    assert folder.log_tail() == ""


def test_an_operators_own_file_comes_before_a_shipped_one_and_is_listed(tmp_path):
    own = tmp_path / "mine.gguf"
    own.touch()
    shipped = next(iter(SHIPPED))

    gguf = WeightsKind.GGUF

    assert locate(shipped, {shipped: own}, gguf) == LocalModel(own, (ModelFile(own, None),))
    assert {"me/mine"} <= set(available({"me/mine": own, "me/missing": tmp_path / "no"}, gguf))
    assert "me/missing" not in available({"me/missing": tmp_path / "no"}, gguf)


def test_a_folder_of_an_operators_own_is_for_the_runtime_that_reads_folders(tmp_path):
    (tmp_path / "model.bin").touch()
    own = {"me/whisper": tmp_path}

    found = locate("me/whisper", own, WeightsKind.CTRANSLATE2)

    assert found == LocalModel(tmp_path, (ModelFile(tmp_path / "model.bin", None),))
    assert "me/whisper" not in available(own, WeightsKind.GGUF)
    with pytest.raises(PermanentError, match="a folder of CTranslate2; this runtime reads a GGUF file"):
        locate("me/whisper", own, WeightsKind.GGUF)


def test_a_shipped_model_is_refused_to_a_runtime_that_cannot_read_it():
    for model, packaged in SHIPPED.items():
        other = next(kind for kind in WeightsKind if kind is not packaged.kind)
        assert model not in available({}, other)
        with pytest.raises(PermanentError, match="this runtime reads"):
            locate(model, {}, other)


@pytest.mark.parametrize("model", ["meta/unknown", "no-slash", "../../etc/passwd", "a/b/c", "a/b\n", ""])
def test_a_model_that_is_not_here_is_refused_by_name(model):
    with pytest.raises(PermanentError) as refused:
        locate(model, {}, WeightsKind.GGUF)

    assert repr(model)[1:-1] in str(refused.value)


def file_of(tmp_path, content=b"weights"):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    return path


async def test_a_file_is_hashed_once_for_its_size_and_time_of_change(tmp_path):
    path = file_of(tmp_path)
    model = ModelFile(path, hashlib.sha256(b"weights").hexdigest())
    await Weights(tmp_path / "models.json").check(model)
    before = path.stat()

    # Only a check that does not read the file again can miss this.
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    await Weights(tmp_path / "models.json").check(model)

    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(PermanentError, match=r"model\.gguf is damaged"):
        await Weights(tmp_path / "models.json").check(model)


async def test_replicas_that_start_together_share_one_reading(tmp_path, monkeypatch):
    path = file_of(tmp_path)
    weights = Weights(tmp_path / "models.json")
    readings = []
    original = weights._hash
    monkeypatch.setattr(weights, "_hash", lambda *args: readings.append(args) or original(*args))

    model = ModelFile(path, hashlib.sha256(b"weights").hexdigest())
    await asyncio.gather(*(weights.check(model) for _ in range(3)))

    assert len(readings) == 1
    assert weights.fraction(path) is None


@pytest.mark.parametrize("sha256", [None, "0" * 64], ids=["own-file", "pinned-file"])
async def test_a_file_that_is_not_there_is_refused_by_name(tmp_path, sha256):
    with pytest.raises(PermanentError, match=r"missing\.gguf"):
        await Weights(tmp_path / "models.json").check(ModelFile(tmp_path / "missing.gguf", sha256))


async def test_a_cache_that_cannot_be_read_is_made_anew(tmp_path):
    (tmp_path / "models.json").write_text("not json")
    path = file_of(tmp_path)

    await Weights(tmp_path / "models.json").check(ModelFile(path, hashlib.sha256(b"weights").hexdigest()))

    assert str(path) in (tmp_path / "models.json").read_text()
