#!/usr/bin/env python3
"""Runs the Python of the documentation, on files that the commands of the same pages made.

    check_book.py --lowbit target/debug/lowbit

Blocks fenced as `python` run in the order of docs/SUMMARY.md, in one folder; console blocks of these pages run before them.
(`python,ignore` marks what needs a network of the reader's own, or PyTorch.) Needs requirements.txt.
"""

import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^[ ]*```(\S*)\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)


def pages():
    summary = (ROOT / "docs/SUMMARY.md").read_text(encoding="utf-8")
    return [ROOT / "docs" / link for link in re.findall(r"\]\(([^)]+)\)", summary)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowbit", type=pathlib.Path, required=True)
    lowbit = str(parser.parse_args().lowbit.resolve())
    ran = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for page in pages():
            blocks = FENCE.findall(page.read_text(encoding="utf-8"))
            if page.name != "first-steps.md" and not any(info == "python" for info, _ in blocks):
                continue
            for info, text in blocks:
                if info == "console":
                    for line in text.replace("\\\n", " ").splitlines():
                        if line.startswith("$ lowbit "):
                            command = [lowbit, *shlex.split(line.removeprefix("$ lowbit "))]
                            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                elif info == "python":
                    exec(compile(text, f"{page.name}, a block of Python", "exec"), {})
                    ran += 1
    if not ran:
        sys.exit("no page has a block of Python")
    print(f"{ran} blocks of Python in the documentation: ok")


if __name__ == "__main__":
    main()
