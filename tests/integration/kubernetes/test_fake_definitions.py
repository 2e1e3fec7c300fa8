"""The fake's table of custom resources against the definitions of KubeVirt and CDI, where those lie beside the repository."""

import re

import pytest

from tests.support.kubernetes.catalog import RESOURCES, Resource, definitions_folder

CUSTOM = [each for each in RESOURCES if each.custom]
_KIND = re.compile(r"^    kind: (\S+)$", re.MULTILINE)
_SCOPE = re.compile(r"^  scope: (\S+)$", re.MULTILINE)
_VERSION = re.compile(r"^  - .*?(?=^  - |\Z)", re.MULTILINE | re.DOTALL)
_SUBRESOURCE = re.compile(r"^      (status|scale):", re.MULTILINE)


@pytest.mark.parametrize("resource", CUSTOM, ids=lambda each: each.plural)
def test_the_table_says_of_each_custom_resource_what_its_definition_says(resource: Resource) -> None:
    folder = definitions_folder()
    if folder is None:
        pytest.skip("the definitions of KubeVirt are not on this machine")
    text = (folder / f"{resource.full_name}.yaml").read_text(encoding="utf-8")

    # Parsing the files takes seconds, and what is asked here stands at fixed places of a generated file.
    versions = text[text.index("  versions:\n") :]
    named = re.compile(rf"^  [- ] name: {resource.version}$", re.MULTILINE)
    (version,) = [each for each in _VERSION.findall(versions) if named.search(each)]
    after = version[version.find("\n    subresources:") :] if "\n    subresources:" in version else ""
    kind, scope = _KIND.search(text), _SCOPE.search(text)
    assert kind is not None
    assert scope is not None
    assert (kind[1], scope[1]) == (resource.kind, "Namespaced" if resource.namespaced else "Cluster")
    assert "\n    storage: true" in version
    assert set(_SUBRESOURCE.findall(after)) == {
        name for name in ("status", "scale") if getattr(resource, name)
    }
