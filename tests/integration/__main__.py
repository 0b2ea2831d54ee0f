"""Runs the integration tests: python3 tests/integration [-k PATTERN] [--smoke] [--counts FILE].

A test's name is integration/<file>/<class>/<test>; PATTERN is a regular expression searched in it. --counts writes
"passed failed skipped" for tests/run.sh.
"""

import argparse
import os
import re
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

# What the two-minute gate runs.
SMOKE = "test_click_event_count/ClickEventCount/test_exact_without_failures"


def name_of(test):
    return "integration/" + test.id().replace(".", "/")


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


class Result(unittest.TestResult):
    """A line per test as it ends, failures in full."""

    def startTest(self, test):
        super().startTest(test)
        self.begin = time.monotonic()
        self.verdict = None

    def say(self, test, verdict, detail=""):
        self.verdict = verdict
        print("%-8s %s (%.1f s)%s" % (verdict, name_of(test), time.monotonic() - self.begin, detail), flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say(test, "passed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say(test, "skipped", ": " + reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            is_failure = issubclass(err[0], test.failureException)
            text = (self.failures if is_failure else self.errors)[-1][1]
            print("FAILED   %s\n%s" % (name_of(subtest), text), flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say(test, "FAILED")
        print(self.failures[-1][1], flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self.begin = getattr(self, "begin", time.monotonic())
        self.say(test, "FAILED")
        print(self.errors[-1][1], flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tests/integration")
    parser.add_argument("-k", "--only", default="", metavar="PATTERN")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--counts", metavar="FILE")
    arguments = parser.parse_args()
    tests = [test for test in flatten(unittest.defaultTestLoader.discover(HERE))
             if re.search(arguments.only, name_of(test)) and (not arguments.smoke or SMOKE in name_of(test))]
    result = Result()
    unittest.TestSuite(tests).run(result)
    # A test that fails in its body and again in its cleanup, or in several subtests, is one failed test.
    failed = len({getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors})
    passed = result.testsRun - failed - len(result.skipped)
    print("%d passed, %d failed, %d skipped" % (passed, failed, len(result.skipped)))
    if arguments.counts:
        with open(arguments.counts, "w") as file:
            file.write("%d %d %d\n" % (passed, failed, len(result.skipped)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
