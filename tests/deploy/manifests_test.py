"""The overlays and the chart: valid for every supported Kubernetes, equal to each other, and the chart's values are checked."""
import copy
import difflib
import functools
import json
import pathlib
import runpy
import tempfile
import unittest

import manifests
import policy
from manifests import yaml
import jsonschema
import kubernetes_validate

HERE = pathlib.Path(__file__).parent
OLDEST = "1.30"
# The package reads a version's schemas again for every object: megabytes of JSON each time.
kubernetes_validate.utils.schema_contents = functools.lru_cache(None)(kubernetes_validate.utils.schema_contents)
VERSIONS = [v for v in kubernetes_validate.utils.all_versions() if [int(n) for n in v.split(".")[:2]] >= [1, 30]]
VERSIONS = sorted(set(VERSIONS), key=lambda v: [int(n) for n in v.split(".")])
CUSTOM = json.loads((HERE / "custom_resources.json").read_text())


def check(thing, version):
    """Raises an error for anything wrong, including unknown fields and unknown kinds."""
    group = thing["apiVersion"].split("/")[0]
    if "/" in thing["apiVersion"] and group in CUSTOM:
        definitions = CUSTOM[group]
        if thing["kind"] not in definitions["definitions"]:
            raise jsonschema.ValidationError(f"{thing['kind']} is not a kind of {group} in custom_resources.json")
        jsonschema.validate(thing, {"$ref": f"#/definitions/{thing['kind']}", **definitions})
        return
    # Without `strict` unknown fields pass. An unknown kind or version raises, where the command line would only warn.
    kubernetes_validate.validate(thing, version, strict=True)


def by_name(value):
    """The same value with every list of named things (volumes, ports, variables) in the order of their names."""
    if isinstance(value, dict):
        return {key: by_name(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [by_name(item) for item in value]
        return sorted(items, key=lambda item: item["name"]) if items and all(
            isinstance(item, dict) and "name" in item for item in items) else items
    return value


def comparable(objects):
    """Key to object, without the namespace's object and without what only Helm writes on its objects."""
    found = {}
    for thing in copy.deepcopy(objects):
        if thing["kind"] == "Namespace":
            continue
        for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            thing["metadata"].get("labels", {}).pop(label, None)
        found[manifests.title(thing)] = by_name(thing)
    return found


class Validity(unittest.TestCase):
    def test_versions_reach_from_the_oldest_supported_to_the_newest(self):
        self.assertTrue(VERSIONS[0].startswith(OLDEST + "."))
        self.assertGreaterEqual(len(VERSIONS), 8)

    def test_everything_is_strictly_valid_for_every_version(self):
        seen = set()
        for name, objects in manifests.rendered():
            self.assertGreater(len(objects), 15, name)
            for thing in objects:
                text = json.dumps(thing, sort_keys=True)
                for version in () if text in seen else VERSIONS:
                    with self.subTest(f"{name}: {manifests.title(thing)} on {version}"):
                        check(thing, version)
                seen.add(text)
        for version in VERSIONS:
            check(*manifests.restore(), version)

    def test_a_wrong_field_an_old_version_and_an_unknown_kind_are_found(self):
        def changed(of, **changes):
            thing = copy.deepcopy(next(o for o in manifests.overlay("gpu-pool") if o["kind"] == of))
            thing.update(changes)
            return thing
        wrong_field = changed("StatefulSet")
        wrong_field["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["grcp"] = {"port": 1}
        wrong_monitor = changed("ServiceMonitor")
        wrong_monitor["spec"]["endpoints"][0]["honourLabels"] = True
        for thing in (wrong_field, wrong_monitor, changed("PodDisruptionBudget", apiVersion="policy/v1beta1"),
                      changed("Service", kind="Servise"), changed("Certificate", kind="Certificat")):
            with self.assertRaises((jsonschema.ValidationError, kubernetes_validate.utils.SchemaNotFoundError)):
                check(thing, VERSIONS[0])

    def test_a_users_own_overlay_is_made_as_the_guide_says(self):
        guide = (manifests.ROOT / "docs/operate/kubernetes.md").read_text()
        text = guide.split("```yaml\n# kustomization.yaml", 1)[1].split("```", 1)[0]
        with tempfile.TemporaryDirectory(dir=manifests.KUBERNETES / "overlays") as folder:
            (pathlib.Path(folder) / "kustomization.yaml").write_text(text)
            objects = manifests.kustomize(folder)
        self.assertEqual({"ml"}, {o["metadata"].get("namespace", "ml") for o in objects})
        certificate = next(o for o in objects if manifests.title(o) == "Certificate muster-data")
        self.assertIn("muster-data.ml.svc", certificate["spec"]["dnsNames"])
        images = {c["image"] for o in objects if o["kind"] == "StatefulSet" for c in o["spec"]["template"]["spec"]["containers"]}
        self.assertTrue(all(image.startswith("registry.example/") for image in images), images)


class Monitoring(unittest.TestCase):
    def test_rules_are_those_of_the_prometheus_folder(self):
        shipped = {o["metadata"]["name"]: o["spec"] for o in manifests.overlay("gpu-pool") if o["kind"] == "PrometheusRule"}
        files = {f.stem: yaml.safe_load(f.read_text()) for f in (manifests.ROOT / "deploy/prometheus/rules").glob("*.yml")}
        self.assertEqual(files, shipped)

    def test_every_dashboard_is_in_the_config_map(self):
        shipped, = (o["data"] for o in manifests.overlay("gpu-pool") if o["kind"] == "ConfigMap")
        files = {f.name: f.read_text() for f in (manifests.ROOT / "deploy/grafana/dashboards").glob("*.json")}
        self.assertEqual(files, shipped)
        self.assertLess(sum(map(len, shipped.values())), 2**20, "a ConfigMap holds at most 1 MiB")

    def test_scraped_jobs_have_the_names_that_rules_ask_for(self):
        names = set()
        for thing in manifests.overlay("gpu-pool"):
            for endpoint in thing["spec"].get("endpoints", []) + thing["spec"].get("podMetricsEndpoints", []) \
                    if thing["kind"] in ("ServiceMonitor", "PodMonitor") else []:
                self.assertTrue(endpoint["honorLabels"], "muster_job_* carry the label job themselves")
                names.add(endpoint["relabelings"][0]["replacement"])
        configuration = yaml.safe_load((manifests.ROOT / "deploy/prometheus/prometheus.yml").read_text())
        self.assertEqual({job["job_name"] for job in configuration["scrape_configs"]}, names)


class Generated(unittest.TestCase):
    def test_what_generate_writes_is_committed(self):
        with tempfile.TemporaryDirectory() as folder:
            manifests.run(manifests.KUBERNETES / "generate", folder)
            made = {f.relative_to(folder): f.read_text() for f in pathlib.Path(folder).rglob("*") if f.is_file()}
        self.assertGreaterEqual(len(made), 7)
        for name, text in made.items():
            self.assertEqual(text, (manifests.ROOT / name).read_text(), f"{name}: run deploy/kubernetes/generate")
        for folder in ("rules", "dashboards"):
            here = {f.relative_to(manifests.ROOT) for f in (manifests.CHART / folder).iterdir()}
            self.assertEqual({name for name in made if name.parent.name == folder}, here, "run deploy/kubernetes/generate")

    def test_the_chart_has_no_links_and_a_package_of_it_has_all_rules_and_dashboards(self):
        self.assertEqual([], [f for f in manifests.CHART.rglob("*") if f.is_symlink()], "Flux drops them silently")
        with tempfile.TemporaryDirectory() as folder:
            manifests.run(manifests.TOOLS / "tools/helm", "package", manifests.CHART, "--destination", folder)
            package, = pathlib.Path(folder).glob("*.tgz")
            words = ("--values", manifests.ROOT / "deploy/helm/values/gpu-pool.yaml", "--namespace", "muster")
            packed = manifests.parse(manifests.run(manifests.TOOLS / "tools/helm", "template", "muster", package, *words))
        self.assertEqual(comparable(manifests.chart("gpu-pool")), comparable(packed))

    def test_every_value_has_a_schema_and_every_schema_a_value_and_a_description(self):
        schema = json.loads((manifests.CHART / "values.schema.json").read_text())
        values = yaml.safe_load((manifests.CHART / "values.yaml").read_text())
        generate = runpy.run_path(str(manifests.KUBERNETES / "generate"))
        known = {path: leaf.get("description") for path, leaf in generate["leaves"](schema, schema["definitions"])}
        self.assertEqual([], [path for path, text in known.items() if not text])
        written = set()

        def walk(value, path):
            if path in known or not isinstance(value, dict):
                written.add(path)
            else:
                for key, inner in value.items():
                    walk(inner, path + (key,))
        walk(values, ())
        self.assertEqual(set(known), written)


class Chart(unittest.TestCase):
    def test_renders_to_the_objects_of_each_overlay(self):
        self.assertEqual(sorted(manifests.VALUES), manifests.OVERLAYS)
        for name in manifests.OVERLAYS:
            overlay, chart = comparable(manifests.overlay(name)), comparable(manifests.chart(name))
            self.assertEqual(sorted(overlay), sorted(chart), name)
            for key in overlay:
                with self.subTest(f"{name}: {key}"):
                    lines = [yaml.safe_dump(side[key]).splitlines() for side in (overlay, chart)]
                    self.assertEqual(overlay[key], chart[key], "\n".join(difflib.unified_diff(*lines, "overlay", "chart", lineterm="")))

    def test_another_release_and_namespace_make_other_names_throughout(self):
        objects = manifests.helm_template("--values", manifests.ROOT / "deploy/helm/values/gpu-pool.yaml",
                                          release="two", namespace="ml")
        for thing in objects:
            self.assertTrue(thing["metadata"]["name"].startswith("two-muster-"), manifests.title(thing))
            self.assertEqual("ml", thing["metadata"]["namespace"])
        self.assertEqual([], policy.findings(objects))

    def test_lint_is_clean(self):
        for values in ([], ["gpu-pool.yaml"], ["gpu-pool.yaml", "shared-store.yaml"]):
            words = [word for file in values for word in ("--values", manifests.ROOT / "deploy/helm/values" / file)]
            out = manifests.run(manifests.TOOLS / "tools/helm", "lint", "--strict", manifests.CHART, *words)
            self.assertIn("0 chart(s) failed", out)
            self.assertNotIn("[WARNING]", out)

    def test_wrong_values_are_refused_by_name(self):
        for setting, named in (("worker.device=tpu", "worker.device"), ("worker.slots=0", "worker.slots"),
                               ("coordinator.storage.accessMode=ReadWriteMany", "coordinator.storage.accessMode"),
                               ("worker.replica=3", "replica"), ("tokens.secret=", "tokens.secret"),
                               ("data.terminationGracePeriodSeconds=5", "terminationGracePeriodSeconds")):
            with self.assertRaisesRegex(AssertionError, named):
                manifests.helm_template("--set", setting)


if __name__ == "__main__":
    unittest.main()
