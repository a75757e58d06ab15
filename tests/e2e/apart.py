"""A cluster whose servers are started one by one, so that a test can stop each of them and put something between
them."""
import json
import os
import signal
import subprocess

from cluster import BIN, Cluster, wait_until


class Server:
    """One process of Muster. After a restart it listens on the same ports."""
    programs = BIN  # the folder with the programs
    has_health = True  # older programs have no --health
    host = "127.0.0.1"  # as written before a port

    def __init__(self, cluster, program, name, words, listens=True, variables=None, prefix=()):
        self.cluster, self.program, self.name, self.words, self.listens = cluster, program, name, words, listens
        self.variables, self.prefix = variables or {}, prefix
        self.port_file = cluster.folder / f"{name}.json"
        self.log = cluster.folder / f"{name}.log"
        self.ports, self.process = {}, None

    def start(self):
        self.port_file.unlink(missing_ok=True)
        ports = ["--metrics", f"{self.host}:{self.ports.get('metrics_port', 0)}", "--port-file", str(self.port_file)]
        if self.has_health:
            ports += ["--health", f"{self.host}:0"]
        if self.listens:
            ports += ["--listen", f"{self.host}:{self.ports.get('port', 0)}"]
        with open(self.log, "ab") as output:
            words = [*self.prefix, self.programs / f"muster-{self.program}", *self.words, *ports]
            self.process = subprocess.Popen([str(word) for word in words], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                                            env={**os.environ, **self.cluster.variables, **self.variables})
        self.ports = wait_until(f"{self.name} is ready", self.read_ports, 60)
        return self

    def read_ports(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended: " + self.log.read_text(errors="replace")[-4000:])
        return json.loads(self.port_file.read_text()) if self.port_file.is_file() else None

    @property
    def address(self):
        return f"{self.host}:{self.ports['port']}"

    @property
    def metrics(self):
        return f"{self.host}:{self.ports['metrics_port']}"

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Apart(Cluster):
    """Coordinator, data server and workers with the given numbers of slots. `front(data_address)` may return another
    address, of a proxy between the data server and the coordinator's clients. `coordinator`: further flags for it."""
    Server = Server

    def __init__(self, slots=(2,), front=lambda cluster, address: address, coordinator=()):
        super().__init__(sum(slots))
        self.front = front
        self.coordinator_words = coordinator
        self.slots_of = slots
        self.variables = {"MUSTER_AUDIT_DIR": str(self.audit)}
        self.servers, self.workers = [], []
        self.data = self.coordinator = None

    def certs(self, role, name, *more):
        """The folder of a certificate; issued again."""
        folder = self.folder / "certs" / name
        done = subprocess.run([str(BIN / "muster"), "certs", "issue", str(self.folder / "authority"), "--role", role, "--name", name,
                               "--out", str(folder), *more], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return folder

    def server(self, program, name, *words, state=None, certs=None, **more):
        self.servers.append(self.Server(self, program, name, ["--state", state or self.folder / "states" / name, "--certs",
                                                              certs or self.certs(program, name), *words], **more))
        return self.servers[-1].start()

    def start(self):
        subprocess.run([str(BIN / "muster"), "certs", "init", str(self.folder / "authority")], check=True, stdout=subprocess.DEVNULL)
        self.certs("operator", "tester")
        self.data = self.server("data", "data")
        self.coordinator = self.server("coordinator", "coordinator", "--data", self.front(self, self.data.address),
                                       *self.coordinator_words)
        for number, slots in enumerate(self.slots_of, 1):
            self.workers.append(self.server("worker", f"w{number}", "--coordinator", self.coordinator.address, "--name", f"w{number}",
                                            "--device", "cpu", "--slots", slots, listens=False))
        wait_until("the workers are ready", self.is_ready, 60)

    def is_ready(self):
        workers = self.muster("workers", "--output", "json")
        return workers.code == 0 and sum(worker["state"] == "WORKER_STATE_READY"
                                         for worker in workers.json().get("workers", [])) == len(self.slots_of)

    def stop(self):
        for server in reversed(self.servers):
            server.stop()

    def environment(self):
        return {**os.environ, "MUSTER_ADDRESS": self.coordinator.address, "MUSTER_CERTS": str(self.folder / "certs/tester"), "NO_COLOR": "1"}

    def rank_pids(self):
        self.state = self.folder / "states"
        return super().rank_pids()
