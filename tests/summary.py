#!/usr/bin/env python3
"""Reads a ctest JUnit report. Prints the tests that were left out, with the reasons, and the line "N passed, N failed".

usage: summary.py REPORT.xml      exit 1 if a test failed or none ran
"""
import re
import sys
import xml.etree.ElementTree as xml


def main():
    suite = xml.parse(sys.argv[1]).getroot()
    passed = failed = 0
    skipped = []
    for case in suite.iter("testcase"):
        if case.get("status") == "run":
            passed += 1
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            output = case.findtext("system-out") or ""
            reason = re.search(r"Skipped\n(.*?)\n", output)
            skipped.append((case.get("name"), reason.group(1).strip() if reason else "not run"))
        else:
            failed += 1
            print(f"failed: {case.get('name')}")
    for name, reason in skipped:
        print(f"left out: {name}: {reason}")
    print(f"{passed} passed, {failed} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
