"""Settings shared by all tests: a private cache folder, hypothesis profiles, the GPU marker."""

import importlib.util
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled kernels of the tests out of the user's cache (one folder per worker)."""
    if "TRACEC_CACHE_DIR" in os.environ:
        yield
        return
    os.environ["TRACEC_CACHE_DIR"] = str(tmp_path_factory.mktemp("tracec-cache"))
    yield
    del os.environ["TRACEC_CACHE_DIR"]


def gpu_available() -> bool:
    """Whether CuPy is installed and sees a device."""
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    return bool(cupy.is_available())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` on machines without one."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not gpu_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
