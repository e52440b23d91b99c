"""What pytest leaves out where an extra is not installed."""

from importlib.util import find_spec

collect_ignore_glob = [
    *([] if find_spec("jax") else ["src/marquardt/jax_models/*", "tests/jax_networks.py"]),
    *([] if find_spec("torch") else ["src/marquardt/torch_models/*", "tests/torch_modules.py"]),
]
