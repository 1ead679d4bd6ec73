"""Static files of npm packages, by an explicit list: nothing else of node_modules is served."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

# served path -> path in node_modules
PACKAGE_FILES: dict[str, str] = {
    "vendor/modern-normalize.css": "modern-normalize/modern-normalize.css",
    "vendor/inter-latin.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "vendor/inter-latin-ext.woff2": (
        "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2"
    ),
    "vendor/devanagari.woff2": (
        "@fontsource-variable/noto-sans-devanagari/files/"
        "noto-sans-devanagari-devanagari-wght-normal.woff2"
    ),
    "vendor/htmx.js": "htmx.org/dist/htmx.min.js",
    # As .js: nginx 1.22 knows no .mjs, and browsers refuse a module sent as octet-stream.
    "vendor/lightweight-charts.js": (
        "lightweight-charts/dist/lightweight-charts.standalone.production.mjs"
    ),
}


class NodePackageFinder(BaseFinder):
    """Finds `vendor/...` in node_modules."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.storage = FileSystemStorage(location=settings.BASE_DIR / "node_modules")

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        source = PACKAGE_FILES.get(path)
        found = self.storage.path(source) if source and self.storage.exists(source) else None
        if find_all:
            return [found] if found else []
        return found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[Any]:
        for served, source in PACKAGE_FILES.items():
            if self.storage.exists(source):
                yield served, _Renamed(self.storage, served, source)


class _Renamed:
    """A storage that opens one file under its served name."""

    prefix = None

    def __init__(self, storage: FileSystemStorage, served: str, source: str) -> None:
        self._storage, self._served, self._source = storage, served, source

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._storage, name)
        if name in {"open", "path", "get_modified_time", "exists", "size"}:
            return lambda path, *args: attribute(
                self._source if path == self._served else path, *args
            )
        return attribute
