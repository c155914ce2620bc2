"""The fixtures, and the events in the text of a failure."""

import contextlib

import pytest

from .lab import Topologies

# The topologies of each fixture that is alive, by the fixture's name.
_LIVING = []


@contextlib.contextmanager
def _topologies(fixture):
    topologies = Topologies()
    entry = (fixture, topologies)
    _LIVING.append(entry)
    try:
        yield topologies
    finally:
        try:
            topologies.down()
        finally:
            _LIVING.remove(entry)


@pytest.fixture
def tapline():
    """Brings topologies up for one test: `lab = tapline.up("topology.yaml")`."""
    with _topologies("tapline") as topologies:
        yield topologies


@pytest.fixture(scope="module")
def tapline_module():
    """Brings topologies up for the tests of one file."""
    with _topologies("tapline_module") as topologies:
        yield topologies


@pytest.fixture(scope="session")
def tapline_session():
    """Brings topologies up for the whole run."""
    with _topologies("tapline_session") as topologies:
        yield topologies


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for fixture, topologies in _LIVING:
        # Those that the test uses, by whatever fixtures of its own.
        for lab in topologies.labs if fixture in item.fixturenames else []:
            for title, text in lab.story().items():
                # In the text itself, so that JUnit's failure has it, too.
                if hasattr(report.longrepr, "addsection"):
                    report.longrepr.addsection(title, text)
                else:
                    report.sections.append((title, text))
