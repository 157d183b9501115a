"""The dictionary store passes the contract, so tests that use it are valid for the real stores."""

from collections.abc import Callable

import pytest

from tests.store.contract import Opener, StoreContract
from tests.store.dictionary import DictionaryStore, Shared


class TestDictionaryStore(StoreContract):
    """The contract."""

    @pytest.fixture
    def shared(self) -> Shared:
        """The data of the stores."""
        return Shared()

    @pytest.fixture
    def open_store(self, shared: Shared) -> Opener:
        """Open stores on one dictionary."""
        return lambda: DictionaryStore(shared)

    @pytest.fixture
    def evict(self, shared: Shared) -> Callable[[str], None]:
        """Remove one record."""
        return shared.values.__delitem__

    @pytest.fixture
    def lose_data(self, shared: Shared) -> Callable[[], None]:
        """Remove all data."""
        return shared.lose_data
