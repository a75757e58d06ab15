"""A headless Chromium that a test drives over a pipe, without any package of Python's.

Sources: https://chromedevtools.github.io/devtools-protocol/ (the messages), chromium --remote-debugging-pipe (file descriptor 3 is
read, 4 is written, messages end with a zero byte).
"""
import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find():
    """The program; None: there is none here (deploy/bootstrap --tests installs one)."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """with Browser() as browser: browser.open(file)"""

    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="muster-browser-")
        commands, self.commands = os.pipe()
        self.events, events = os.pipe()

        def connect():  # copies first: a number may be taken by another of them
            taken = os.dup(commands), os.dup(events)
            os.dup2(taken[0], 3)
            os.dup2(taken[1], 4)
        self.process = subprocess.Popen(
            [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
             "--disable-dev-shm-usage", "--disable-background-networking", f"--user-data-dir={self.profile}", f"--window-size={width},{height}"],
            preexec_fn=connect, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(events)
        self.bytes, self.number, self.seen = b"", 0, []
        target = self.call("Target.createTarget", url="about:blank", width=width, height=height)["targetId"]
        self.session = None
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def close(self):
        os.close(self.commands)  # when the pipe closes, the browser ends as well
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.events)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _next(self, deadline):
        while b"\0" not in self.bytes:
            ready, _, _ = select.select([self.events], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError("the browser did not answer in time")
            part = os.read(self.events, 1 << 20)
            if not part:
                raise AssertionError(f"the browser ended with {self.process.wait()}")
            self.bytes += part
        message, _, self.bytes = self.bytes.partition(b"\0")
        return json.loads(message)

    def call(self, method, seconds=60, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self._next(deadline)
            if answer.get("id") != self.number:
                self.seen.append(answer)
                continue
            if "error" in answer:
                raise AssertionError(f"{method}: {answer['error']}")
            return answer["result"]

    def open(self, page, dark=False):
        """Loads a file, and forgets what earlier pages did."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.seen = []
        self.call("Page.navigate", url=pathlib.Path(page).resolve().as_uri())
        deadline = time.monotonic() + 60
        while not any(event.get("method") == "Page.loadEventFired" for event in self.seen):
            self.seen.append(self._next(deadline))
        self.evaluate("1")  # everything that the page has reported so far has arrived

    def evaluate(self, expression):
        """The value of an expression of JavaScript in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def requests(self):
        """Addresses that the page has requested since it was opened, including the page itself."""
        return [event["params"]["request"]["url"] for event in self.seen if event.get("method") == "Network.requestWillBeSent"]

    def errors(self):
        """The content of its console: messages, exceptions, and what the policy refused."""
        found = [event["params"]["args"] for event in self.seen if event.get("method") == "Runtime.consoleAPICalled"]
        found += [event["params"]["exceptionDetails"] for event in self.seen if event.get("method") == "Runtime.exceptionThrown"]
        return found + [event["params"]["entry"]["text"] for event in self.seen if event.get("method") == "Log.entryAdded"]

    def point_at(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, file, width=1280, height=900):
        """PNG of the page's upper left part."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        taken = self.call("Page.captureScreenshot", format="png", clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        pathlib.Path(file).write_bytes(base64.b64decode(taken["data"]))
