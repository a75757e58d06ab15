"""The sources of the cluster's address: arguments, environment, config file, and the cluster that `muster local` remembers, in
this order."""
import pathlib
import tempfile
import unittest

from muster import InvalidArgumentError, _endpoint
from muster._endpoint import Endpoint, Settings, resolve

REMEMBERED = Settings(address="127.0.0.1:7070", certs="/local/certs", token_file="/local/token")


class Resolve(unittest.TestCase):
    def refused(self, *arguments):
        with self.assertRaises(InvalidArgumentError) as caught:
            resolve(*arguments)
        return caught.exception.message

    def test_arguments_override_the_environment_which_overrides_the_file(self):
        environment = {"MUSTER_ADDRESS": "e:2", "MUSTER_CERTS": "/e"}
        config = Settings(address="c:3", certs="/c", token_file="/c/token")
        self.assertEqual(resolve(Settings("a:1", "/a"), environment, config), Endpoint("a:1", "/a", token_file="/c/token"))
        self.assertEqual(resolve(Settings("a:1"), environment, config).certs, "/e", "each setting by itself")
        self.assertEqual(resolve(Settings(), environment, config), Endpoint("e:2", "/e", token_file="/c/token"))
        self.assertEqual(resolve(Settings(), {"MUSTER_ADDRESS": ""}, config), Endpoint("c:3", "/c", token_file="/c/token"))

    def test_tokens(self):
        config = Settings("c:3", "/c", token_file="/c/token")
        both = {"MUSTER_TOKEN": "t", "MUSTER_TOKEN_FILE": "/e/token"}
        for given, environment, token, file in (
                (Settings(token="g"), both, "g", ""), (Settings(token_file="/g"), both, "", "/g"), (Settings(), both, "", "/e/token"),
                (Settings(), {"MUSTER_TOKEN": "t"}, "t", ""), (Settings(), {}, "", "/c/token")):
            found = resolve(given, environment, config)
            self.assertEqual((found.token, found.token_file), (token, file))
        self.assertIn("give one of them", self.refused(Settings(token="a", token_file="b"), {}, config))

    def test_the_remembered_cluster_is_used_as_a_whole(self):
        environment = {"MUSTER_CERTS": "/e", "MUSTER_TOKEN": "t"}
        self.assertEqual(resolve(Settings(), environment, Settings(certs="/c"), REMEMBERED),
                         Endpoint("127.0.0.1:7070", "/local/certs", token_file="/local/token"))
        self.assertEqual(resolve(Settings(certs="/a"), environment, Settings(), REMEMBERED), Endpoint("127.0.0.1:7070", "/a"),
                         "its token would decide who calls")
        self.assertEqual(resolve(Settings("a:1", "/a"), {}, Settings(), REMEMBERED), Endpoint("a:1", "/a"))

    def test_insecure_overrides_certificates_and_tokens_of_other_places(self):
        environment = {"MUSTER_CERTS": "/e", "MUSTER_TOKEN": "t"}
        self.assertEqual(resolve(Settings("a:1", insecure=True), environment, Settings()), Endpoint("a:1", insecure=True))
        self.assertIn("not sent without TLS", self.refused(Settings("a:1", token="t", insecure=True), {}, Settings()))
        config = Settings("c:3", insecure=True)
        self.assertTrue(resolve(Settings(), {}, config).insecure)
        self.assertFalse(resolve(Settings(certs="/a"), {}, config).insecure, "certificates that are named are used")

    def test_what_is_missing_or_wrong_is_named(self):
        self.assertIn("no cluster is named", self.refused(Settings(), {}, Settings()))
        self.assertIn("no certificates are named", self.refused(Settings("a:1"), {}, Settings()))
        for address in ("localhost", "localhost:", "localhost:0", "localhost:65536", "::1:80", "http://a:80"):
            self.assertIn("is not HOST:PORT", self.refused(Settings(address, "/a"), {}, Settings()), address)
        self.assertEqual(resolve(Settings("[::1]:80", "/a"), {}, Settings()).address, "[::1]:80")

    def test_a_server_on_all_addresses_is_reached_at_the_coordinators_host(self):
        self.assertEqual(_endpoint.reachable("0.0.0.0:71", "host:70"), "host:71")
        self.assertEqual(_endpoint.reachable("[::]:71", "[::1]:70"), "[::1]:71")
        self.assertEqual(_endpoint.reachable("data:71", "host:70"), "data:71")


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / ".config/muster").mkdir(parents=True)

    def write(self, name, text):
        (self.folder / ".config/muster" / name).write_text(text)

    def find(self, given=Settings(), **environment):
        return _endpoint.find(given, {"HOME": str(self.folder), **environment})

    def test_paths_of_the_config_file_start_at_its_folder_or_at_home(self):
        self.write("config.yaml", "address: c:3\ncerts: certs/me\ntoken_file: ~/token\n")
        self.assertEqual(self.find(), Endpoint("c:3", str(self.folder / ".config/muster/certs/me"), token_file=f"{self.folder}/token"))
        other = self.folder / "xdg"
        (other / "muster").mkdir(parents=True)
        (other / "muster/config.yaml").write_text("address: x:4\ninsecure: yes\n")
        self.assertEqual(self.find(XDG_CONFIG_HOME=str(other)), Endpoint("x:4", insecure=True))

    def test_a_wrong_config_file_is_named_with_its_line(self):
        for text, expected in (("address: a:1\ncertificates: x\n", ':2: unknown key "certificates". Allowed: address, certs, token_file, insecure.'),
                               ("address: [a]\n", ":1: address: must be a single value."), ("insecure: 7\n", 'insecure: "7" is not true or false.'),
                               ("- a\n", "must be keys and values"), ("address: [\n", "config.yaml:2: ")):
            self.write("config.yaml", text)
            with self.assertRaises(InvalidArgumentError) as caught:
                self.find()
            self.assertIn(expected, caught.exception.message)

    def test_the_cluster_of_muster_local_is_found(self):
        self.write("local.yaml", "# Written by muster local\naddress: 127.0.0.1:7070\ncerts: /s/certs\ntoken_file: /s/user.token\nstate: /s\n")
        self.assertEqual(self.find(), Endpoint("127.0.0.1:7070", "/s/certs", token_file="/s/user.token"))
        self.write("local.yaml", "broken")
        with self.assertRaises(InvalidArgumentError) as caught:
            self.find()
        self.assertIn("is not a file that muster local wrote", caught.exception.message)
        self.assertEqual(self.find(MUSTER_ADDRESS="e:2", MUSTER_CERTS="/e"), Endpoint("e:2", "/e"), "it matters only where nothing else names one")


if __name__ == "__main__":
    unittest.main()
