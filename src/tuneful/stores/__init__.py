"""Where studies live."""

from tuneful.stores.address import Address as Address
from tuneful.stores.address import parse_address as parse_address
from tuneful.stores.memory import MemoryStore as MemoryStore
from tuneful.stores.opening import open_store as open_store
from tuneful.stores.sqlite import SqliteStore as SqliteStore
