"""Adds the messages of proto/muster/v1 to the package while it is built. docs/decisions/0099-stubs-at-build-time.md says why."""
import pathlib
import shutil
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import generate  # noqa: E402


def proto_folder():
    """The folder proto of the checkout, or its copy in a source distribution."""
    for folder in (HERE.parents[1] / "proto", HERE / "proto"):
        if (folder / "muster/v1/job.proto").is_file():
            return folder
    raise SystemExit("muster: proto/muster/v1 is missing. Install from client/python of a checkout of Muster.")


class BuildWithMessages(build_py):
    def run(self):
        if self.editable_mode:
            target = HERE / "src"
        else:
            target = pathlib.Path(self.build_lib)
            shutil.rmtree(target / "muster", ignore_errors=True)  # an earlier build may contain messages that have been removed
        super().run()
        generate.write_messages(proto_folder(), target)


class SdistWithProtos(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for path in generate.sources(proto_folder()):
            copy = pathlib.Path(base_dir) / "proto" / path.relative_to(proto_folder())
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


setup(cmdclass={"build_py": BuildWithMessages, "sdist": SdistWithProtos})
