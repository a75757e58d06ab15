"""A driver with one GPU, for hosts without one: libnvidia-ml.so.1, built from fake_nvml.c. It reads the errors to
report from the file that FAKE_NVML_STATE names."""
import pathlib
import subprocess


def build(folder):
    """Returns the folder for LD_LIBRARY_PATH."""
    target = pathlib.Path(folder) / "fake-nvml"
    target.mkdir()
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(target / "libnvidia-ml.so.1"),
                    str(pathlib.Path(__file__).with_name("fake_nvml.c"))], check=True)
    return target
