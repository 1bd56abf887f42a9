"""The page of `ocigc report` in a real browser: it draws, it filters, and no name does it harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
    "x" * 5000,
]


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium.browser(tmp_path_factory.mktemp("home")) as window:
        yield window


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    layout = LayoutWriter(tmp_path / "layout")
    created = {"1": "2020-01-01T00:00:00Z", "2": "2024-06-01T00:00:00Z"}
    for tag, date in created.items():
        layout.tag(layout.image(tag, ["base" * 1000, tag * 500], created=date), f"docker.io/library/app:{tag}")
    layout.tag(layout.image("other", ["base" * 1000, "other" * 300]), "example.com/other:1")
    layout.tag(layout.image("dangling", ["dangling" * 200]))
    return layout


def opened(window: Browser, layout: Path) -> Path:
    page = layout.parent / "store.html"
    assert ocigc("report", layout, "-o", page).code == 0
    window.open(page)
    window.wait("#status", "image")
    return page


def rows(window: Browser) -> list[str]:
    return window.texts("#images tbody td:first-child")


def boxes(window: Browser) -> list[str]:
    labels: list[str] = window.script(
        "return [...document.querySelectorAll('#map > button')].map((each) => each.getAttribute('aria-label'))"
    )
    return labels


def test_it_draws(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    assert window.errors() == []
    assert rows(window) == ["app:1", "app:2", "example.com/other:1", "<none>"]  # as `ocigc ls` has them
    drawn = {label.split(";")[0] for label in boxes(window)}
    assert drawn == {"app", "example.com/other", "shared between repositories", "without a repository"}
    assert {"app", "example.com/", "other"} <= set(window.texts("#map .label span"))
    # The boxes fill the picture, and none lies outside.
    filled, width, height, outside = window.script("""
        const map = document.getElementById("map"), edge = map.getBoundingClientRect();
        const boxes = [...map.querySelectorAll(":scope > button")].map((each) => each.getBoundingClientRect());
        return [boxes.reduce((sum, box) => sum + box.width * box.height, 0), edge.width, edge.height,
                boxes.filter((box) => box.left < edge.left - 1 || box.right > edge.right + 1
                                   || box.top < edge.top - 1 || box.bottom > edge.bottom + 1).length]
    """)
    assert filled == pytest.approx(width * height, rel=0.01)
    assert outside == 0
    assert window.script("return document.querySelectorAll('#ages path.points').length") == 2  # fates
    assert "2020-01-01" in window.role("#ages svg")[1]
    dry = ocigc("prune", "-n", "--format", "json", layout.path).json
    freed = window.texts("#space tbody tr:nth-child(2) td:last-child")
    assert freed == [f"{dry['SpaceReclaimed'] / 1000:.4g}kB"]


def test_a_layout_of_one_repository_begins_with_its_images(window: Browser, tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    for tag in "12":
        layout.tag(layout.image(tag, [tag * 500]), tag)
    opened(window, layout.path)
    assert {label.split(";")[0] for label in boxes(window)} == {"1", "2"}
    assert window.texts("#path button")[0].startswith("everything")


def test_it_filters(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    window.type("#search", "APP :1")
    window.wait("#status", "1 of 4 images")
    assert rows(window) == ["app:1"]
    assert [label.split(";")[0] for label in boxes(window)] == ["app"]
    window.type("#search", "nothing")
    window.wait("#status", "0 of 4 images")
    assert rows(window) == []
    assert "Nothing to draw" in window.texts("#map")[0]
    opened(window, layout.path)
    window.click("#state option[value=dangling]")
    window.wait("#status", "1 of 4 images")
    assert rows(window) == ["<none>"]


def test_after_a_prune(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    window.click("#view input[value='1']")
    window.wait("#status", "3 images")
    assert not any(label.startswith("without a repository") for label in boxes(window))
    window.click("#view input[value='2']")
    window.wait("#status", "0 images")
    assert window.errors() == []


def test_the_keyboard_is_enough(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    window.script("document.querySelector('#map > button[tabindex=\"0\"]').focus()")
    labels = boxes(window)
    active = "return document.activeElement.getAttribute('aria-label')"
    window.press("ArrowRight")
    assert window.script(active) == labels[1]
    window.press("End")
    assert window.script(active) == labels[-1]
    assert window.script("return document.querySelectorAll('#map > button[tabindex=\"0\"]').length") == 1
    entered = next(number for number, label in enumerate(labels) if label.startswith("app;"))
    for _ in range(len(labels) - 1 - entered):
        window.press("ArrowLeft")
    window.press("Enter")
    assert {label.split(";")[0] for label in boxes(window)} == {"app:1", "app:2"}
    window.press("Enter")
    assert {label.split(";")[1].strip() for label in boxes(window)} == {"layer", "config", "manifest"}
    window.press("Escape")
    window.press("Escape")
    assert boxes(window) == labels
    assert window.script(active) == labels[entered]


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
    window.click("#images th:nth-child(4) button")
    sizes = "return [...document.querySelectorAll('#images th')].map((head) => head.getAttribute('aria-sort'))"
    assert window.script(sizes) == [None, None, None, "descending", None, None, None]
    assert rows(window)[0] == "example.com/other:1"
    nameless = """
        return [...document.querySelectorAll("button, input, select")]
            .filter((each) => each.offsetParent && !(each.innerText || each.labels?.length || each.ariaLabel)).length
    """
    assert window.script(nameless) == 0


def test_light_and_dark_have_contrast(window: Browser, layout: LayoutWriter) -> None:
    opened(window, layout.path)
    # WCAG 2: at least 4.5 to 1 for text. A canvas resolves any colour to bytes.
    contrast = """
        const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
        const light = (colour) => {
            canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
            const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((byte) => byte / 255)
                .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
        };
        return ["body", "#status", ".help", "#map > button", "td", "#search"].map((selector) => {
            let behind = document.querySelector(selector);
            const ink = light(getComputedStyle(behind).color);
            while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
            const ground = light(getComputedStyle(behind).backgroundColor);
            return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
        });
    """
    ground = "return getComputedStyle(document.body).backgroundColor"
    grounds = set()
    for _ in range(2):
        assert min(window.script(contrast)) >= 4.5
        grounds.add(window.script(ground))
        window.click("#theme")
    assert len(grounds) == 2


def test_no_name_does_harm(window: Browser, tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "<b>&amp; $style")
    for number, name in enumerate(HOSTILE):
        layout.tag(layout.image(str(number), [str(number) * 1000]), name)
        layout.tag(layout.image(f"r{number}", [str(number) * 2000]), f"example.com/{name}:1")
    opened(window, layout.path)
    assert window.errors() == []
    title = window.script("return document.title")
    assert title == f"{layout.path} - ocigc report"
    assert window.script("return document.querySelectorAll('img, b, iframe, script').length") == 2  # ours
    shown = "\n".join(rows(window))
    assert "</script><script>" in shown
    assert "\\u202e" in shown
    assert "\x1b" not in shown
    assert len(rows(window)) == 2 * len(HOSTILE)
    window.type("#search", "__proto__")
    window.wait("#status", "2 of")
    # Long names do not make the page wider than the window.
    assert window.script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_no_date_does_harm(window: Browser, layout: LayoutWriter) -> None:
    for tag, date in {"zero": "0001-01-01T00:00:00Z", "last": "9999-12-31T23:59:59Z"}.items():
        layout.tag(layout.image(tag, [tag * 100], created=date), f"docker.io/library/app:{tag}")
    opened(window, layout.path)
    assert window.errors() == []
    assert "from 0001-01-01 to 9999-12-31" in window.role("#ages svg")[1]
    marks = window.script(
        "return [...document.querySelectorAll('#ages text[text-anchor=middle]')].map((each) => each.textContent)"
    )
    assert len(set(marks)) == len(marks) > 2


def test_it_loads_nothing(window: Browser, layout: LayoutWriter) -> None:
    page = opened(window, layout.path)
    assert window.script("return performance.getEntriesByType('resource').length") == 0
    assert "http://" not in page.read_text().replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page.read_text()


def test_nothing_to_show(window: Browser, tmp_path: Path) -> None:
    opened(window, LayoutWriter(tmp_path / "layout").path)
    assert window.errors() == []
    assert window.texts("#status") == ["0 images"]


def test_ten_thousand_images(window: Browser, tmp_path: Path) -> None:
    write(tmp_path / "layout", Spec(seed=3, images=10_000, layer_bytes=64))
    opened(window, tmp_path / "layout")
    assert window.errors() == []
    assert len(rows(window)) == 100
    assert 0 < len(boxes(window)) <= 301
    window.type("#search", "api")
    # At once: the page may not have drawn the last letter yet.
    window.click("#more")
    matching = window.texts("#status")[0].split()[0]
    assert len(rows(window)) == min(int(matching.replace(",", "")), 1100)
    assert all("api" in name for name in rows(window))
