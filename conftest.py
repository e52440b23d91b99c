"""What pytest leaves out where an extra is not installed."""

from importlib.util import find_spec

_ROOMS = {"jax": "src/marquardt/jax_models/*", "torch": "src/marquardt/torch_models/*"}
collect_ignore_glob = [room for extra, room in _ROOMS.items() if not find_spec(extra)]
