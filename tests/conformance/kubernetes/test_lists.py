"""Lists: selectors, pages, and revisions that are asked for."""

import pytest

from tests.conformance.kubernetes.site import CONFIG_MAPS, VMIS, Site, config_map, vmi


async def _names(site: Site, kind: str, **query: str) -> list[str]:
    answer = await site.send("GET", site.path(kind), **query)
    assert answer.status == 200, answer.body
    return [
        each["metadata"]["name"]
        for each in answer.body["items"]
        if each["metadata"]["name"] != "kube-root-ca.crt"
    ]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", ["a", "b", "c"]),
        ("color=red", ["a"]),
        ("color==red", ["a"]),
        ("color!=red", ["b", "c"]),
        ("color", ["a", "b"]),
        ("!color", ["c"]),
        ("color in (red, blue)", ["a", "b"]),
        ("color notin (red)", ["b", "c"]),
        ("color in (red,blue),size=big", ["b"]),
    ],
)
async def test_labels_select(site: Site, selector: str, expected: list[str]) -> None:
    await site.made(CONFIG_MAPS, config_map("a", labels={"color": "red"}))
    await site.made(CONFIG_MAPS, config_map("b", labels={"color": "blue", "size": "big"}))
    await site.made(CONFIG_MAPS, config_map("c"))

    assert await _names(site, CONFIG_MAPS, labelSelector=selector) == expected


async def test_names_select(site: Site) -> None:
    for name in ("a", "b"):
        await site.made(VMIS, vmi(name))

    assert await _names(site, VMIS, fieldSelector="metadata.name=b") == ["b"]


async def test_nothing_else_of_a_custom_object_selects(site: Site) -> None:
    refused = await site.send("GET", site.path(VMIS), fieldSelector="status.phase=Running")

    assert (refused.status, refused.reason) == (400, "BadRequest")


async def test_pages_show_all_of_one_revision_and_nothing_twice(site: Site) -> None:
    for name in "abcde":
        await site.made(VMIS, vmi(name))

    seen, versions, token = [], set(), ""
    while True:
        query = {"limit": "2", **({"continue": token} if token else {})}
        page = await site.send("GET", site.path(VMIS), **query)
        seen.append([each["metadata"]["name"] for each in page.body["items"]])
        versions.add(page.version)
        token = page.metadata.get("continue", "")
        if not token:
            break
        if len(seen) == 1:
            assert page.metadata["remainingItemCount"] == 3
            await site.made(VMIS, vmi("bb"))

    assert seen == [["a", "b"], ["c", "d"], ["e"]]
    assert len(versions) == 1


async def test_a_senseless_continue_is_a_bad_request(site: Site) -> None:
    refused = await site.send("GET", site.path(VMIS), limit="2", **{"continue": "none"})

    assert refused.status == 400


async def test_a_revision_from_the_future_times_out(site: Site) -> None:
    now = int((await site.send("GET", site.path(VMIS))).version)

    refused = await site.send("GET", site.path(VMIS), resourceVersion=str(now + 1_000_000))

    assert (refused.status, refused.reason) == (504, "Timeout")
    assert refused.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_a_list_carries_the_revision_to_watch_from(site: Site) -> None:
    made = await site.made(VMIS, vmi("a"))

    answer = await site.send("GET", site.path(VMIS))

    assert int(answer.version) >= int(made.version)
    assert answer.body["kind"] == "VirtualMachineInstanceList"


async def test_a_list_over_all_namespaces_shows_each_with_its_own(site: Site) -> None:
    await site.made(VMIS, vmi("a"))

    answer = await site.send("GET", "/apis/kubevirt.io/v1/virtualmachineinstances")

    assert (site.namespace, "a") in [
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in answer.body["items"]
    ]
