"""Settings of the test suite: the real ones, with what only costs time taken out.

The suite never touches an installation: it has a folder and servers of its own (tests/conftest.py starts them), and
nothing of the caller's environment changes what it does.
"""

import os
import shutil
import tempfile
from pathlib import Path

for _name in list(os.environ):
    if _name.startswith(("CRMSYNC_", "DATABASE_URL", "REDIS_URL")) and not _name.startswith("CRMSYNC_TEST_"):
        del os.environ[_name]
# pytest-xdist's workers inherit the name, so that all of them share one folder.
if "CRMSYNC_TEST_VAR" not in os.environ:
    # In memory where there is room: nothing of it has to last, and a new cluster is a thousand files.
    _memory = Path("/dev/shm")  # noqa: S108 -- mkdtemp makes a closed folder of an unused name in it
    _room = _memory.is_dir() and os.access(_memory, os.W_OK) and shutil.disk_usage(_memory).free > 2 << 30
    os.environ["CRMSYNC_TEST_VAR"] = tempfile.mkdtemp(prefix="crmsync-test-", dir=_memory if _room else None)
os.environ["CRMSYNC_VAR"] = os.environ["CRMSYNC_TEST_VAR"]

from crmsync_site.embedded import addresses  # noqa: E402 -- after the environment is set
from crmsync_site.settings import *  # noqa: E402, F403 -- the same settings but for what precedes and follows
from crmsync_site.settings import RQ_QUEUES, STATIC_ROOT, VAR  # noqa: E402 -- named, for the type checker

# Each process of a parallel run has a database of its own in the one Valkey.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
REDIS_URL = addresses.redis_url(VAR, database=1 + int(_worker.removeprefix("gw") or 0))
for _queue in RQ_QUEUES.values():
    _queue["URL"] = REDIS_URL

STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns when it is not there
# live_server serves through the finders, which know no fingerprinted names.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A whole test run in one process outgrows what a worker may take; the tests of that bound set their own.
WORKER_MEMORY_MB = 5_000
