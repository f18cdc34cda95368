"""The same verbs on frames of other libraries, which narwhals reads and writes.

A verb is written once, for pandas: the texts of a frame are few beside the time of a model.
"""

from __future__ import annotations

import functools
from typing import Any


def in_pandas(accessor: type) -> type:
    """Return an accessor for other frames whose methods are those of one for pandas."""

    def init(self: Any, native: Any) -> None:
        self._native = native

    methods = {
        name: _carried_over(accessor, name, method)
        for name, method in vars(accessor).items()
        if callable(method) and not name.startswith("_")
    }
    described = {"__doc__": accessor.__doc__, "__init__": init}
    return type(accessor.__name__, (), {**described, **methods})


def _carried_over(accessor: type, name: str, method: Any) -> Any:
    @functools.wraps(method)
    def carried(self: Any, *args: Any, **kwargs: Any) -> Any:
        import narwhals as nw

        native = self._native
        library = nw.get_native_namespace(native)
        called = getattr(accessor(to_pandas(native)), name)
        given = {key: to_pandas(value) for key, value in kwargs.items()}
        return from_pandas(called(*map(to_pandas, args), **given), library)

    return carried


def to_pandas(value: Any) -> Any:
    """Return a frame or a column as one of pandas with the same Python values; others as is."""
    import narwhals as nw
    import pandas as pd

    native = nw.from_native(value, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(native, nw.DataFrame):
        columns = {name: _objects(native[name]) for name in native.columns}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(native)))
    return _objects(native) if isinstance(native, nw.Series) else value


def _objects(series: Any) -> Any:
    import pandas as pd

    return pd.Series(series.to_list(), dtype=object, name=series.name or None)


def from_pandas(value: Any, library: Any) -> Any:
    """Return a frame or a column of pandas as one of `library`, without its index; others as is."""
    import narwhals as nw
    import pandas as pd

    if isinstance(value, pd.Series):
        name, dtype = str(value.name or ""), _dtype(value)
        return nw.new_series(name, _values(value), dtype, backend=library).to_native()
    if not isinstance(value, pd.DataFrame):
        return value
    first, *others = [from_pandas(value[name].rename(str(name)), library) for name in value]
    together = nw.from_native(first, series_only=True).to_frame()
    return together.with_columns(
        *(nw.from_native(one, series_only=True) for one in others)
    ).to_native()


def _values(series: Any) -> list[Any]:
    """Return Python values with None for what is missing."""
    missing = series.isna()
    return [None if gone else _plain(one) for one, gone in zip(series, missing, strict=True)]


def _plain(value: Any) -> Any:
    import pandas as pd

    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def _dtype(series: Any) -> Any:
    """Return narwhals' type for a column; None where the values tell."""
    import narwhals as nw
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        return nw.Categorical()
    found = nw.from_native(series, series_only=True).dtype
    return None if found in (nw.Object, nw.Unknown) else found
