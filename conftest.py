"""What pytest leaves out where an extra is not installed."""

from importlib.util import find_spec

collect_ignore_glob = [
    *(
        []
        if find_spec("jax")
        else ["src/marquardt/jax_models/*", "src/marquardt/apps/pinn/*", "tests/jax_networks.py"]
    ),
    *([] if find_spec("jax") and find_spec("diffrax") else ["src/marquardt/apps/pkpd/*"]),
    *([] if find_spec("torch") else ["src/marquardt/torch_models/*", "tests/torch_modules.py"]),
]
