"""The page of `ocigc report` in a real browser: it draws, it decides as a prune does, and no name does it harm."""

from __future__ import annotations

import base64
import json
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocigc import Layout, overview
from ocigc.cli.output.html import page_data
from ocigc.cli.output.html.page import as_page
from ocigc.cli.output.report_json import Circumstances
from ocigc.cli.output.words import human_size
from ocigc.synth import Spec, write
from tests.helpers import browser as chromium
from tests.helpers.browser import Browser
from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter

pytestmark = chromium.NEEDED

HOSTILE = [
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "\u202egnp.exe",
    "\x1b[31mred\x1b[0m",
    "a\x00b",
    "'\"`${document.title='taken'}",
    "__proto__",
    "constructor",
    "=HYPERLINK(0)",
    "x" * 5000,
]

BOXES = "return [...document.querySelectorAll('#map > button')].map((each) => each.getAttribute('aria-label'))"
LABELS = "return [...document.querySelectorAll('#map .label')].map((each) => each.firstChild.textContent)"
ACTIVE = "return document.activeElement.getAttribute('aria-label')"
SET = """
    const [id, value] = arguments, control = document.getElementById(id);
    if (control.type === "checkbox") control.checked = value; else control.value = value < 0 ? control.max : value;
    control.dispatchEvent(new Event("input", {bubbles: true}));
"""
SET_ALL = """
    const [last, within, budget, untagged] = arguments, at = (id) => document.getElementById(id);
    at("keep-last").value = last;
    at("keep-within").value = within;
    at("budget").value = budget < 0 ? at("budget").max : budget;
    at("untagged").checked = untagged;
    at("whatif").dispatchEvent(new Event("input", {bubbles: true}));
    // The page decides in the next frame, and this is asked for after that.
    const asked = `[${last}, ${within}, ${budget}, ${untagged ? "True" : "False"}]`;
    requestAnimationFrame(() => { document.body.dataset.asked = asked; });
"""
NOT_WIDER = "return document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium.browser(tmp_path_factory.mktemp("home")) as window:
        yield window


@pytest.fixture
def phone(window: Browser) -> Iterator[Browser]:
    window.devtools("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    window.devtools("Emulation.setTouchEmulationEnabled", enabled=True)
    yield window
    window.devtools("Emulation.setTouchEmulationEnabled", enabled=False)
    window.devtools("Emulation.clearDeviceMetricsOverride")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    layout = LayoutWriter(tmp_path / "layout")
    created = {"1": "2020-01-01T00:00:00Z", "2": "2024-06-01T00:00:00Z"}
    for tag, date in created.items():
        layout.tag(layout.image(tag, ["base" * 1000, tag * 500], created=date), f"docker.io/library/app:{tag}")
    layout.tag(layout.image("other", ["base" * 1000, "other" * 300]), "example.com/other:1")
    layout.tag(layout.image("dangling", ["dangling" * 200]))
    for path in (layout.path / "blobs/sha256").iterdir():
        os.utime(path, (1_500_000_000, 1_500_000_000))
    return layout


def opened(window: Browser, layout: Path, *arguments: str | Path) -> Path:
    page = layout.parent / "store.html"
    result = ocigc("report", layout, *arguments, "-o", page)
    assert page.exists(), result
    window.open(page)
    window.wait("#status", "image")
    return page


def rows(window: Browser) -> list[str]:
    return window.texts("#images tbody td:first-child")


def boxes(window: Browser) -> list[str]:
    labels: list[str] = window.script(BOXES)
    return labels


def names(window: Browser) -> set[str]:
    return {label.split(";")[0] for label in boxes(window)}


def test_it_draws(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    assert window.errors() == []
    assert rows(window) == ["example.com/other:1", "app:1", "app:2", "<none>"]  # the largest first
    assert names(window) == {"docker.io", "example.com", "shared between registries", "without a registry"}
    assert {"docker.io", "app"} <= set(window.script(LABELS))
    # The boxes fill the picture but for the gaps, and none lies outside.
    filled, whole, outside = window.script("""
        const map = document.getElementById("map"), edge = map.getBoundingClientRect();
        const boxes = [...map.querySelectorAll(":scope > button")].map((each) => each.getBoundingClientRect());
        return [boxes.reduce((sum, box) => sum + box.width * box.height, 0), edge.width * edge.height,
                boxes.filter((box) => box.left < edge.left - 1 || box.right > edge.right + 1
                                   || box.top < edge.top - 1 || box.bottom > edge.bottom + 1).length]
    """)
    assert filled == pytest.approx(whole, rel=0.03)
    assert outside == 0
    assert window.script("return document.querySelectorAll('#ages path.points').length") == 2  # fates
    assert "from 2017-07-14 to 2024-06-01" in window.role("#ages svg")[1]
    dry = ocigc("prune", "-n", "--format", "json", layout.path).json
    assert window.texts("#frees .figure") == [human_size(dry["SpaceReclaimed"])]
    du = ocigc("du", "--format", "json", layout.path).json
    assert window.texts("#stored .figure") == [human_size(du["Size"])]
    assert window.texts("#health .figure") == ["Not verified"]


def test_a_label_shows_from_its_beginning(window: Browser, tmp_path: Path) -> None:
    write(tmp_path / "layout", Spec(seed=11, images=120, layer_bytes=512))
    opened(window, tmp_path / "layout")
    cut = window.script("""
        const outside = (label) => label.getBoundingClientRect().left < label.parentElement.getBoundingClientRect().left
            || label.scrollLeft > 0 || getComputedStyle(label).direction !== "ltr";
        const labels = [...document.querySelectorAll("#map .label")];
        return [labels.length, labels.filter(outside).length, labels.filter((label) => label.clientWidth < 15).length];
    """)
    assert cut[0] > 20
    assert cut[1:] == [0, 0]


def test_a_layout_of_one_repository_begins_with_its_images(window: Browser, tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    for tag in "12":
        layout.tag(layout.image(tag, [tag * 500]), tag)
    opened(window, layout.path)
    assert names(window) == {"1", "2"}
    assert window.texts("#path button")[0].startswith("everything")


def test_it_filters(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    window.type("#search", "APP :1")
    window.wait("#status", "1 of 4 images")
    assert rows(window) == ["app:1"]
    assert len(boxes(window)) == 1
    window.type("#search", "nothing")
    window.wait("#status", "0 of 4 images")
    assert rows(window) == []
    assert "Nothing to draw" in window.texts("#map")[0]
    opened(window, layout.path)
    window.click("#state option[value=dangling]")
    window.wait("#status", "1 of 4 images")
    assert rows(window) == ["<none>"]
    opened(window, layout.path)
    window.click("#repositories tbody tr:nth-child(2) button")
    window.wait("#status", "1 of 4 images")


def test_after_a_prune(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    window.click("#view input[value=prune]")
    window.wait("#status", "3 images")
    assert "without a registry" not in names(window)
    window.click("#view input[value=all]")
    window.wait("#status", "0 images")
    assert window.errors() == []


def test_tables_sort_and_add_up(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    marks = (
        "return [...document.querySelectorAll('#images th[scope=col]')].map((head) => head.getAttribute('aria-sort'))"
    )
    assert window.script(marks) == [None, None, None, "descending", None, None]
    window.click("#images th:nth-child(1) button")
    assert window.script(marks) == ["ascending", None, None, None, None, None]
    assert rows(window) == ["app:1", "app:2", "example.com/other:1", "<none>"]
    # Shared blobs count once.
    listed = ocigc("ls", "--format", "json", layout.path).json
    total = ocigc("du", "--format", "json", layout.path).json["Size"]
    assert sum(image["Size"] for image in listed) > total
    assert window.texts("#images tfoot td:nth-child(4)") == [human_size(total)]
    assert window.texts("#repositories tfoot td:nth-child(3)") == [human_size(total)]


def test_an_image_has_a_panel(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    window.click("#images tbody tr:nth-child(2) button")
    panel = window.texts("#panel")[0]
    assert window.role("#panel") == ("dialog", "app:1")
    for fact in ("linux/amd64", "2020-01-01", "has a name, and only dangling images are pruned", "is not in use"):
        assert fact in panel
    assert "shared with 2" in panel
    assert "Shares with 2 images" in panel
    # Whom it shares with leads on.
    window.script("document.querySelector('#panel li button').click()")
    assert window.role("#panel")[1] in ("app:2", "example.com/other:1")
    window.press("Escape")
    assert window.script("return document.getElementById('panel').open") is False
    assert window.errors() == []


@pytest.mark.parametrize("seed", [2, 9])
def test_the_what_if_decides_as_a_prune_does(window: Browser, tmp_path: Path, seed: int) -> None:
    used = tmp_path / "used file.json"
    path = tmp_path / "a layout"
    synth = ocigc("synth", "--seed", str(seed), "--images", "60", "--layer-size", "512", "--in-use", used, path)
    assert synth.code == 0
    opened(window, path, "--in-use", used)
    settings = [(3, 0, -1, False), (1, 0, -1, True), (0, 15, -1, True), (2, 18, 40, True), (0, 0, 30, False)]
    for setting in settings:
        window.script(SET_ALL, *setting)
        deadline = time.monotonic() + 30
        while window.script("return document.body.dataset.asked") != str(list(setting)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        policy, status = window.texts("#policy")[0], window.texts("#whatif-status")[0]
        (tmp_path / "ocigc.toml").write_text(policy)
        (command,) = [line for line in policy.splitlines() if line.startswith("# ocigc prune")]
        words = [str(tmp_path / word) if word == "ocigc.toml" else word for word in shlex.split(command[2:])[1:]]
        dry = ocigc(*words, "--format", "json")
        assert dry.code == 0, dry
        untagged_count = sum("Untagged" in each for each in dry.json["ImagesDeleted"])
        assert status.startswith(f"Frees {human_size(dry.json['SpaceReclaimed'])} of "), (command, policy)
        assert f": {untagged_count} image" in status
    assert window.script("return document.querySelector('input[name=view]:checked').value") == "whatif"
    assert window.script("return document.querySelectorAll('#map .gone').length") > 0
    window.click("#whatif-reset")
    window.wait("#whatif-status", "As it is")
    assert window.script("return document.querySelectorAll('#map .gone').length") == 0
    assert window.errors() == []


def referrers(layout: LayoutWriter) -> None:
    """Two images, each with referrers: one without a name, one with a fallback tag, one with its own; and orphans."""
    for number, date in enumerate(("2020-01-01T00:00:00Z", "2024-01-01T00:00:00Z")):
        image = layout.image(str(number), [str(number) * 1000], created=date)
        layout.tag(image, f"example.com/app:{number}")
        names = (None, f"example.com/app:{image['digest'].replace(':', '-')}.sig", f"example.com/sboms:{number}")
        absent = {**image, "digest": f"sha256:{number:064x}"}
        for each, name in enumerate(names):
            lost = name and name.replace(image["digest"][7:], f"{number:064x}").replace("sboms", "lost")
            for subject, called in ((image, name), (absent, lost)):
                what = f"{subject['digest']} {each}"
                referrer = layout.manifest(layout.config(what, created=date), [layout.blob(what * 100)], subject)
                layout.tag(referrer, called)
    for path in (layout.path / "blobs/sha256").iterdir():
        os.utime(path, (1_500_000_000, 1_500_000_000))


@pytest.mark.parametrize("untagged", [False, True])
def test_referrers_go_in_the_what_if_as_in_a_prune(window: Browser, tmp_path: Path, untagged: bool) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    referrers(layout)
    opened(window, layout.path)
    window.script(SET_ALL, 1, 0, -1, untagged)
    window.wait("#policy", "keep-last = 1")
    window.wait("#policy", "delete-untagged" if untagged else "ocigc prune")
    (tmp_path / "policy").write_text(window.texts("#policy")[0])
    dry = ocigc("prune", "-n", "--policy", tmp_path / "policy", "--format", "json", layout.path).json
    count = sum("Untagged" in each for each in dry["ImagesDeleted"])
    assert f"Frees {human_size(dry['SpaceReclaimed'])} of" in window.texts("#whatif-status")[0], dry
    assert f": {count} images would go" in window.texts("#whatif-status")[0], dry


def test_the_policy_can_be_copied(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    assert window.script("return document.getElementById('copy').disabled") is True
    window.script(SET, "keep-last", 2)
    window.wait("#policy", "keep-last = 2")
    window.script("""
        navigator.clipboard.writeText = async (text) => { window.copied = text };
        document.getElementById("copy").click();
    """)
    window.wait("#copied", "Copied")
    assert window.script("return window.copied").startswith("# ocigc.toml\n[[rule]]\nkeep-last = 2\n")


def test_growth_is_drawn_and_told(window: Browser, layout: LayoutWriter) -> None:
    size = ocigc("du", "--format", "json", layout.path).json["Size"]
    lines = [
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - day * 86_400)),
            "command": "prune",
            "bytes": size - 50 * day,
            "repositories": {"app": 1000, "<img src=x>": 500, "__proto__": 7},
        }
        for day in range(30, 0, -1)
    ]
    (layout.path / ".ocigc").mkdir(exist_ok=True)
    (layout.path / ".ocigc/history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    opened(window, layout.path)
    assert window.errors() == []
    assert "about 50 B a day" in window.texts("#growth-words")[0]
    drawn = """
        const canvas = document.querySelector("#growth canvas");
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(new Uint32Array(pixels.buffer)).size;
    """
    assert window.script(drawn) > 5
    assert "<img src=x>" in window.texts("#growth .u-legend")[0]
    window.script("document.querySelector('details').open = true")
    table = window.texts("#growth-table tbody tr")
    assert len(table) == 31
    assert human_size(size) in table[-1]


def test_the_keyboard_is_enough(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    window.script("document.querySelector('#map > button[tabindex=\"0\"]').focus()")
    labels = boxes(window)
    first = window.script(ACTIVE)
    seen = {first}
    for key in ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        window.press(key)
        seen.add(window.script(ACTIVE))
    assert len(seen) > 2
    window.press("End")
    assert window.script(ACTIVE) == labels[-1]
    window.press("Home")
    assert window.script(ACTIVE) == labels[0]
    assert window.script("return document.querySelectorAll('#map > button[tabindex=\"0\"]').length") == 1
    window.script("""
        [...document.querySelectorAll("#map > button")].find((each) => each.ariaLabel.startsWith("docker.io;")).focus()
    """)
    window.press("Enter")
    assert names(window) == {"app"}
    window.press("Enter")
    assert names(window) == {"1", "2", "shared in the repository"} - {"shared in the repository"}
    window.press("Enter")
    assert {label.split(";")[1].strip() for label in boxes(window)} == {"layer", "config", "manifest"}
    # A layer leads to its image, and out of that again.
    window.press("Enter")
    assert window.script("return document.getElementById('panel').open") is True
    window.press("Escape")
    assert window.script("return document.getElementById('panel').open") is False
    for _ in range(3):
        window.press("Escape")
    assert boxes(window) == labels
    assert window.script(ACTIVE).startswith("docker.io;")


def test_assistive_technology_is_told_all(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    assert window.role("#map") == ("group", "Where the bytes are")
    role, label = window.role("#map > button")
    assert role == "button"
    assert "%" in label
    assert window.role("#search") == ("searchbox", "Search")
    assert window.role("#state")[1] == "Show"
    assert window.role("#status")[0] == "status"
    assert window.role("#view")[1] == "Draw it"
    assert window.role("#images")[0] == "table"
    assert window.role("#keep-last") == ("slider", "Keep the newest of each repository")
    window.script(SET, "keep-last", 2)
    window.wait("#keep-last-value", "the newest 2")
    assert window.script("return document.getElementById('keep-last').ariaValueText") == "the newest 2"
    window.click("#images tbody button")
    nameless = """
        return [...document.querySelectorAll("button, input, select")]
            .filter((each) => each.offsetParent && !(each.innerText || each.labels?.length || each.ariaLabel)).length
    """
    assert window.script(nameless) == 0


# WCAG 2: at least 4.5 to 1 for text. A canvas resolves any colour to bytes.
CONTRAST = """
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const light = (colour) => {
        canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((byte) => byte / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const shown = (each) => each.offsetParent && each.innerText && !each.disabled;
    const texts = "p, b, strong, td, th, button, code, output, label, dt, dd, pre, .badge, .label";
    return [...document.querySelectorAll(texts)].filter(shown).map((each) => {
            const ink = light(getComputedStyle(each).color);
            let ground = each;
            while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
            const behind = light(getComputedStyle(ground).backgroundColor);
            return [(Math.max(ink, behind) + 0.05) / (Math.min(ink, behind) + 0.05), each.outerHTML.slice(0, 120)];
        }).filter(([ratio]) => ratio < 4.5);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_have_contrast(window: Browser, layout: LayoutWriter, scheme: str) -> None:
    window.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    opened(window, layout.path)
    ground = "return getComputedStyle(document.body).backgroundColor"
    first = window.script(ground)
    assert window.script(CONTRAST) == []
    window.script(SET, "keep-last", 1)
    window.wait("#whatif-status", "Frees")
    assert window.script(CONTRAST) == []
    window.click("#theme")
    assert window.script(ground) != first
    assert window.script(CONTRAST) == []
    window.devtools("Emulation.setEmulatedMedia", features=[])


def test_a_phone_gets_cards_and_room_for_fingers(phone: Browser, layout: LayoutWriter) -> None:
    layout.tag(layout.image("long", ["long"]), "example.com/" + "long-name/" * 20 + "app:1")
    opened(phone, layout.path)
    assert phone.errors() == []
    assert phone.script("return window.innerWidth") == 390
    assert phone.script(NOT_WIDER)
    assert phone.script("return getComputedStyle(document.querySelector('#images tr')).display") == "block"
    labels = "return getComputedStyle(document.querySelector('#images td:nth-child(4)'), '::before').content"
    assert phone.script(labels) == '"Size"'
    small = """
        return [...document.querySelectorAll("button:not(.link, .box, #path button, thead button), select")]
            .filter((each) => each.offsetParent && each.getBoundingClientRect().height < 44).map((each) => each.id);
    """
    assert phone.script(small) == []
    # Cards have no heads to press: a list sorts them.
    phone.click(".sorter:has(+ .scroll #images) option[value='0']")
    assert rows(phone)[0] == "app:1"
    phone.click("#images tbody button")
    assert phone.script("return document.getElementById('panel').open") is True
    assert phone.script("return document.getElementById('panel').scrollWidth <= window.innerWidth")


def test_no_name_does_harm(window: Browser, tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "<b>&amp; $style `'")
    for number, name in enumerate(HOSTILE):
        layout.tag(layout.image(str(number), [str(number) * 1000]), name)
        layout.tag(layout.image(f"r{number}", [str(number) * 2000]), f"example.com/{name}:1")
    (layout.path / "ocigc.toml").write_text(
        "# </pre><script>document.title='taken'</script>\n[[rule]]\nkeep-tagged = true\n"
    )
    used = tmp_path / "<dd><img src=x onerror=alert(1)>"
    used.write_text("example.com/used:1\n")
    earlier = tmp_path / "earlier.json"
    snapshot = ocigc("report", layout.path, "--format", "json").json
    snapshot["ImagesUsage"] = [dict(snapshot["ImagesUsage"][0], Name=name) for name in HOSTILE]
    earlier.write_text(json.dumps(snapshot))
    opened(window, layout.path, "--in-use", used, "--compare", earlier)
    assert window.errors() == []
    assert window.script("return document.title") == f"{layout.path} - ocigc report"
    assert window.script("return document.querySelectorAll('img, iframe, script').length") == 2  # ours
    shown = "\n".join(rows(window))
    assert "</script><script>" in shown
    assert "\\u202e" in shown
    assert "\x1b" not in shown
    assert len(rows(window)) == 2 * len(HOSTILE)
    for number in range(len(rows(window))):
        window.script("document.querySelectorAll('#images tbody button')[arguments[0]].click()", number)
        window.script("document.getElementById('panel').close()")
    window.script(SET, "untagged", True)
    window.wait("#policy", "delete-untagged")
    command = window.texts("#policy")[0].splitlines()[-1]
    assert shlex.split(command[2:])[-1] == str(layout.path)
    window.type("#search", "__proto__")
    window.wait("#status", "2 of")
    # Long names do not make the page wider than the window.
    assert window.script(NOT_WIDER)
    assert window.errors() == []
    assert window.script("return document.title") == f"{layout.path} - ocigc report"


def test_a_path_that_a_terminal_would_obey_is_not_copied(window: Browser, tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "a\nrm -rf x")
    layout.tag(layout.image("a"), "app:1")
    opened(window, layout.path)
    window.script(SET, "keep-last", 1)
    window.wait("#policy", "keep-last = 1")
    assert window.texts("#policy")[0].splitlines()[-1].endswith(" LAYOUT")


def test_csv_has_all_that_is_shown_and_no_formula(window: Browser, layout: LayoutWriter) -> None:
    for name in ("=HYPERLINK(0)", 'a,"b"'):
        layout.tag(layout.image(name, [name]), name)
    opened(window, layout.path)
    window.script("""
        window.saved = [];
        URL.createObjectURL = (blob) => { blob.text().then((text) => window.saved.push(text)); return "data:,"; };
        document.getElementById("csv").click();
        document.getElementById("csv-repositories").click();
    """)
    deadline = time.monotonic() + 30
    while len(saved := window.script("return window.saved")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lines = saved[0].split("\r\n")
    assert lines[0] == "Image,Digest,Created,Size,Alone,State"
    assert len(lines) == 1 + 6 + 1
    assert any(line.startswith("'=HYPERLINK(0),") for line in lines)
    assert any(line.startswith('"a,""b""",') for line in lines)
    sizes = [int(line.split(",")[3]) for line in lines[1:-1] if line.startswith(("app", "example"))]
    assert sizes == sorted(sizes, reverse=True)
    assert saved[1].startswith("Repository,Images,Size,")


def test_it_prints(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    window.devtools("Emulation.setEmulatedMedia", media="print")
    hidden = (
        "return ['controls', 'theme', 'csv', 'whatif-section'].filter((id) => document.getElementById(id).offsetParent)"
    )
    assert window.script(hidden) == []
    window.devtools("Emulation.setEmulatedMedia", media="")
    printed = base64.b64decode(window.devtools("Page.printToPDF", printBackground=True)["data"])
    assert printed.startswith(b"%PDF")
    assert window.script("return document.documentElement.dataset.theme ?? null") is None
    assert window.errors() == []


def test_no_date_does_harm(window: Browser, layout: LayoutWriter) -> None:
    for tag, date in {"early": "1990-01-01T00:00:00Z", "last": "9999-12-31T23:59:59Z"}.items():
        layout.tag(layout.image(tag, [tag * 100], created=date), f"docker.io/library/app:{tag}")
    opened(window, layout.path)
    assert window.errors() == []
    assert "from 1990-01-01 to 9999-12-31" in window.role("#ages svg")[1]
    marks = window.script(
        "return [...document.querySelectorAll('#ages text[text-anchor=middle]')].map((each) => each.textContent)"
    )
    assert len(set(marks)) == len(marks) > 2


def test_it_loads_nothing(window: Browser, layout: LayoutWriter) -> None:
    page = opened(window, layout.path)
    assert window.script("return performance.getEntriesByType('resource').length") == 0
    text = page.read_text()
    assert "default-src 'none'" in text
    for attribute in (" src=", "url(", "@import", "<link", "fetch(", "XMLHttpRequest", "import("):
        assert attribute not in text.replace("{src=", "").replace(".src=", ""), attribute


def test_nothing_to_show(window: Browser, tmp_path: Path) -> None:
    opened(window, LayoutWriter(tmp_path / "layout").path)
    assert window.errors() == []
    assert window.texts("#status") == ["0 images"]


def test_a_damaged_layout(window: Browser, layout: LayoutWriter) -> None:
    torn = layout.image("torn", ["torn"])
    layout.tag(torn, "example.com/torn:1")
    layout.blob_path(torn).write_bytes(b"{")
    opened(window, layout.path)
    assert window.errors() == []
    assert window.texts("#health .figure") == ["Damaged"]
    assert "torn:1" in window.texts("#findings")[0]
    window.click("#state option[value=trouble]")
    window.wait("#status", "1 of 5 images")
    assert rows(window) == ["example.com/torn:1"]
    window.click("#images tbody button")
    assert "What is wrong" in window.texts("#panel")[0]


def test_a_tree(window: Browser, tmp_path: Path) -> None:
    for number, name in enumerate(("team/one", "two")):
        write(tmp_path / "root" / name, Spec(seed=number, images=15, layer_bytes=256))
    opened(window, tmp_path / "root", "--recursive")
    assert window.errors() == []
    assert "of 2 layouts" in window.texts("#lead")[0]
    window.type("#search", "team/one")
    window.wait("#status", " of ")
    shown = window.texts("#images tbody td:nth-child(2)")
    assert shown
    assert set(shown) == {"team/one"}


def test_ten_thousand_images(window: Browser, tmp_path: Path) -> None:
    write(tmp_path / "layout", Spec(seed=3, images=10_000, layer_bytes=64))
    page = opened(window, tmp_path / "layout")
    assert page.stat().st_size < 15_000_000
    assert window.errors() == []
    assert len(rows(window)) == 100
    assert 0 < len(boxes(window)) <= 301
    window.type("#search", "api")
    # At once: the page may not have drawn the last letter yet.
    window.click("#more")
    matching = window.texts("#status")[0].split()[0]
    assert len(rows(window)) == min(int(matching.replace(",", "")), 1100)
    assert all("api" in name for name in rows(window))
    window.script(SET, "keep-last", 1)
    window.wait("#whatif-status", "Frees")
    assert window.errors() == []


def test_a_store_for_which_a_page_has_no_room_is_folded(
    window: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "layout", Spec(seed=4, images=400, layer_bytes=64))
    with Layout(tmp_path / "layout") as layout:
        found = overview(layout)
    room = 60_000
    monkeypatch.setattr(page_data, "_ROOM", room)
    monkeypatch.setattr(page_data, "_REPOSITORIES", 20)
    made = Circumstances("layout", "/layout", "host", "1", time.time_ns())
    text = page_data.document(found, made, None)
    assert len(text) <= room
    told = json.loads(text)
    rows_told = len(told["images"]["tag"])
    assert 0 < rows_told < len(found.images)
    assert rows_told + sum(count for _, _, count, _ in told["folded"]) == len(found.images)
    assert len(told["usage"]) == 21
    assert sum(images for _, images, *_ in told["usage"]) == len(found.images)
    # No byte is lost: what has no row is summed up.
    folded = sum(size for *_, size in told["folded"]) + sum(told["foldedShared"][2::3])
    others = sum(size for _, size, _, _ in told["others"]["listed"]) + sum(told["others"]["rest"][2::3])
    assert sum(told["units"]["alone"]) + sum(told["groups"]["size"]) + folded + others == found.size
    page = tmp_path / "folded.html"
    page.write_bytes(as_page(found, made, None, None))
    window.open(page)
    window.wait("#status", f"{rows_told} images")
    assert f"the other {len(found.images) - rows_told}" in window.texts("#folded")[0]
    window.script(SET, "keep-last", 1)
    window.wait("#whatif-status", "Frees")
    assert window.errors() == []
