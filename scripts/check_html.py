#!/usr/bin/env python3
"""Opens report pages in headless Chromium and says what is wrong with them.

    check_html.py PAGE.html... [--shots DIR] [--require ID,ID,...]

A page passes if the browser logs no error or warning, every section has content, no drawing is empty or has broken
coordinates, nothing is loaded from outside, and the page is not wider than the window, in light and in dark, wide
and narrow. With --shots, a picture of each is kept. Needs Python's standard library and Chromium, found as
$CHROMIUM or on the PATH; without one it prints SKIPPED and exits 0.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser

SECTIONS = "summary,comparison,harm,widths,layers,activations,float,time,reproduce"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}

# A section holds something from this on, in letters; a drawn shape counts as some.
ENOUGH = 20
SHAPE = 3

# Name, Chromium's preferredColorScheme, window.
VIEWS = [("light", 1, (1280, 2400)), ("dark", 0, (1280, 2400)), ("narrow", 1, (500, 2400))]


class Page(HTMLParser):
    """Text and drawings per element with an id, and whatever refers to the outside."""

    def __init__(self):
        super().__init__()
        self.stack = []
        self.content = {}
        self.outside = []
        self.broken = []
        self.drawings = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.stack.append((tag, attrs.get("id")))
        if tag == "svg":
            self.drawings.append(0)
        if tag in ("rect", "path", "line", "circle"):
            self._note(SHAPE)
            if self.drawings:
                self.drawings[-1] += 1
        for name, value in attrs.items():
            value = value or ""
            if name in ("src", "href", "xlink:href", "action") and not re.match(r"#|data:", value):
                self.outside.append(f"{tag} {name}={value}")
            if name in ("d", "x", "y", "width", "height", "x1", "x2", "y1", "y2") and re.search(
                "nan|inf|undefined", value, re.IGNORECASE
            ):
                self.broken.append(f"{tag} {name}={value[:40]}")

    def handle_endtag(self, tag):
        # Browsers serialise well-formed markup, but be lenient: close up to the nearest match.
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i][0] == tag:
                del self.stack[i:]
                return

    def handle_data(self, data):
        self._note(len(data.strip()))

    def _note(self, amount):
        for _, name in self.stack:
            if name:
                self.content[name] = self.content.get(name, 0) + amount


def browser():
    """Chromium, if there is one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def browse(chromium, page, scheme, size, *actions):
    """Runs Chromium once; its standard output and its console messages."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
            "--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}",
            f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={size[0]},{size[1]}",
            *actions, pathlib.Path(page).resolve().as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"chromium ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def probe(page, folder):
    """A copy of the page that writes its own width into its title once laid out."""
    copy = pathlib.Path(folder) / "probe.html"
    script = (
        "<script>document.title=`width ${document.documentElement.scrollWidth} of ${innerWidth}`</script>"
    )
    copy.write_text(pathlib.Path(page).read_text(encoding="utf-8") + script, encoding="utf-8")
    return copy


def check(chromium, page, required, shots):
    """What is wrong with one page, as sentences."""
    wrong = []
    dom, console = browse(chromium, page, 1, (1280, 2400), "--dump-dom")
    wrong += [f"console: {line}" for line in console]
    parsed = Page()
    parsed.feed(dom)
    wrong += [f"refers to the outside: {what}" for what in parsed.outside]
    wrong += [f"broken drawing: {what}" for what in parsed.broken]
    if not all(parsed.drawings):
        wrong.append(f"{parsed.drawings.count(0)} of {len(parsed.drawings)} drawings are empty")
    wrong += [
        f"section {name} is missing or empty" for name in required if parsed.content.get(name, 0) < ENOUGH
    ]

    with tempfile.TemporaryDirectory() as folder:
        for name, scheme, size in VIEWS:
            shot = pathlib.Path(shots or folder) / f"{pathlib.Path(page).stem}-{name}.png"
            _, console = browse(chromium, page, scheme, size, f"--screenshot={shot.resolve()}")
            wrong += [f"console ({name}): {line}" for line in console]
            if not shot.is_file() or shot.stat().st_size < 10_000:
                wrong.append(f"the {name} picture is blank")
            dom, _ = browse(chromium, probe(page, folder), scheme, size, "--dump-dom")
            width = re.search(r"<title>width (\d+) of (\d+)</title>", dom)
            if not width or int(width[1]) > int(width[2]):
                wrong.append(f"the {name} page does not fit its window: {width and width[0]}")
    return wrong


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="+", metavar="PAGE.html")
    parser.add_argument("--shots", metavar="DIR", help="keep pictures here")
    parser.add_argument(
        "--require",
        default=SECTIONS,
        metavar="ID,ID,...",
        help="sections that must have content [%(default)s]",
    )
    args = parser.parse_args()

    chromium = browser()
    if not chromium:
        print("SKIPPED: no Chromium on the PATH and no $CHROMIUM; the report pages were not opened")
        return 0
    if args.shots:
        pathlib.Path(args.shots).mkdir(parents=True, exist_ok=True)

    failed = False
    for page in args.pages:
        wrong = check(chromium, page, [name for name in args.require.split(",") if name], args.shots)
        failed |= bool(wrong)
        print(f"{page}: {'FAILED' if wrong else 'ok'}")
        for sentence in wrong:
            print(f"  {sentence}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
