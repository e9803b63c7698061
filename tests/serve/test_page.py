"""The page in headless Chromium: by keyboard alone, at 320 pixels, dark, with a key, without any foreign request.

Without chromium and chromedriver only what can be seen in its files and headers is looked at. PHA_SERVE_SHOTS=FOLDER keeps
pictures of it.
"""
import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request

import lab
from lab import Server, main, model, until

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../cli/serve/page")
DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Right": "\ue014", "Left": "\ue012", "End": "\ue010",
        "Control": "\ue009", "Shift": "\ue008", "Space": " "}


class Browser:
    """WebDriver, as far as it is needed."""

    def __init__(self, width=1000, dark=False):
        try:
            self.start(width, dark)
        except BaseException:
            self.process.kill()
            raise

    def start(self, width, dark):
        self.process = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True, cwd=lab.ROOT)
        port = None
        while not port:
            port = re.search(r"successfully on port (\d+)", self.process.stdout.readline())
        self.base = "http://127.0.0.1:%s" % port.group(1)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=%d,900" % width,
                     "--user-data-dir=" + os.path.join(lab.ROOT, "chromium-%d" % time.monotonic_ns())]
        if dark:
            arguments.append("--blink-settings=preferredColorScheme=0")
        options = {"args": arguments, "binary": BROWSER}
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}}})
        self.base += "/session/" + made["sessionId"]
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.command("Emulation.setEmulatedMedia", {"features": media})
        self.command("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1,
                                                            "mobile": False})

    def ask(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as r:
                return json.load(r)["value"]
        except urllib.error.HTTPError as e:
            raise AssertionError(e.read().decode()[:500])

    def command(self, name, parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def type(self, *keys):
        """Names of KEYS, chords as "Control+Enter", texts."""
        actions = []
        for key in keys:
            parts = key.split("+") if "+" in key and key.split("+")[0] in KEYS else [key]
            codes = [KEYS[p] if p in KEYS else p for p in parts]
            if len(parts) == 1 and parts[0] not in KEYS:
                codes = []
                for c in key:
                    actions += [{"type": "keyDown", "value": c}, {"type": "keyUp", "value": c}]
            actions += [{"type": "keyDown", "value": c} for c in codes] + [{"type": "keyUp", "value": c} for c in codes[::-1]]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def shot(self, name):
        place = os.environ.get("PHA_SERVE_SHOTS")
        if place:
            os.makedirs(place, exist_ok=True)
            with open(os.path.join(place, name + ".png"), "wb") as f:
                f.write(base64.b64decode(self.ask("GET", "/screenshot")))

    def log(self, kind):
        return self.ask("POST", "/se/log", {"type": kind})

    def requests(self):
        events = [json.loads(e["message"])["message"] for e in self.log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def close(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def text(b, id):
    return b.run("return document.getElementById(arguments[0]).textContent", id)


def tokens(b):
    return b.run("return [...document.querySelectorAll('[data-token]')].map(e => [e.textContent, e.getAttribute('aria-label')])")


def focus(b):
    return b.run("const e = document.activeElement; return e.id || e.dataset.view || (e.dataset.token ?? e.textContent)")


def done(b):
    until(lambda: b.run("return !document.getElementById('go').disabled && document.getElementById('about').textContent"),
          "the answer comes to an end")
    return text(b, "about")


def files():
    """What the page is made of names no other place, and nothing in it is against its own policy."""
    with Server() as s:
        scripts = [name for name in os.listdir(PAGE) if name.endswith(".js")]
        assert len(scripts) == 4 and len(os.listdir(PAGE)) == 6
        for path, name, kind in [("/", "index.html", "text/html"), ("/page/style.css", "style.css", "text/css")] + [
                ("/page/" + name, name, "text/javascript") for name in scripts]:
            a = s.get(path)
            with open(os.path.join(PAGE, name), "rb") as f:
                assert a.body == f.read() and a.status == 200, path
            assert a.headers["Content-Type"].startswith(kind) and a.headers["X-Content-Type-Options"] == "nosniff"
            found = a.body.decode()
            assert not re.search(r"https?://|//[a-z]+\.|@import|url\(|<script(?! type=\"module\" src=\"page/)| style=|"
                                 r" on[a-z]+=|eval\(|innerHTML", found), path
        policy = s.get("/").headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        layers = s.get("/mixing").json()["layers"]
        assert len(layers) == 2 and set(layers[0]["scaled"]) == {"gss", "attn", "aux"}, layers
        assert lab.ROOT not in s.get("/mixing").body.decode()
        reasons = set(re.findall(r'reason="(\w+)"', s.get("/metrics").body.decode()))
        with open(os.path.join(PAGE, "app.js")) as f:
            told = re.search(r"REASONS = {(.*?)};", f.read(), re.S).group(1)
        assert len(reasons) > 8 and reasons <= set(re.findall(r"(\w+): \"", told)), reasons
        html = s.get("/").body.decode()
        ids = set(re.findall(r'id="([^"]+)"', html))
        for name in scripts:
            with open(os.path.join(PAGE, name)) as f:
                found = set(re.findall(r'\$\("([^"]+)"\)', f.read()))
            assert found <= ids | {"chart-mix"}, (name, found - ids)
        for wrong in ("none.js", "index.htm", "..", "app.js/x"):
            assert s.get("/page/" + wrong).status == 404, wrong
        for label in re.findall(r'<(?:textarea|input|select) id="([^"]+)"', html):
            assert 'for="%s"' % label in html or re.search(r'<label>[^<]*<(?:input|select) id="%s"' % label, html), label


def by_keyboard():
    with Server() as s, Browser() as b:
        b.go("http://127.0.0.1:%d/" % s.port)
        until(lambda: "tiny" in text(b, "model"), "the model's name")
        for _ in range(12):  # to the text, whatever lies before it
            b.type("Tab")
            if focus(b) == "prompt":
                break
        assert focus(b) == "prompt"
        b.type("The history of ", "Control+Enter")
        about = done(b)
        assert "15 tokens read, 0 of them known already (texts are kept by 64 tokens)" in about, about
        made = tokens(b)
        assert 1 <= len(made) <= 64 and all("%" in label for _, label in made), made
        answer = text(b, "answer")
        assert answer.startswith("The history of ") and "bytes:" not in answer
        b.shot("complete")
        # From the first token to the sixth, and what else there was.
        for _ in range(20):
            b.type("Tab")
            if focus(b) == "0":
                break
        assert focus(b) == "0"
        b.type("Right", "Right", "Right", "Right", "Right", "Left", "Enter")
        assert "Token 19" in text(b, "token"), text(b, "token")
        choices = b.run("return [...document.querySelectorAll('#token button')].map(e => e.textContent)")
        assert 6 <= len(choices) <= 7 and choices[-1] == "another draw from here", choices
        b.shot("alternatives")
        b.type("Escape")
        assert focus(b) == "4" and b.run("return document.getElementById('token').hidden")
        # On from there with another token: the text before it stays, and both branches can be looked at.
        b.type("Enter")
        pick = b.run("return [...document.querySelectorAll('#token button')].findIndex(e => !e.disabled)")
        want = choices[pick].split("  ")[0]
        b.type("Enter")
        until(lambda: len(b.run("return [...document.getElementById('branch').options].map(o => o.text)")) == 2, "a branch")
        done(b)
        kept = "".join(t for t, _ in made[:4])
        given = b.run("return document.querySelector('.given').textContent")
        assert given.startswith("The history of " + kept.replace("\u00b7", "")) and len(given) > 15, (given, kept, want)
        b.run("const s = document.getElementById('branch'); s.value = '0'; s.dispatchEvent(new Event('change'))")
        assert text(b, "answer") == answer
        # The state of the branch is that of its text, and the server agrees.
        assert s.metric("tokens_made_total") > 60
        b.type("Escape")
        problems = [e for e in b.log("browser") if e["level"] in ("SEVERE", "WARNING")]
        assert not problems, problems
        foreign = [u for u in b.requests() if not u.startswith(("http://127.0.0.1:%d/" % s.port, "data:", "chrome"))]
        assert not foreign, foreign


def chats_and_mixing():
    with Server("--max-context", "100000") as s, Browser() as b:
        b.go("http://127.0.0.1:%d/" % s.port)
        until(lambda: "tiny" in text(b, "model"), "the model's name")
        b.run("document.querySelector('[data-view=chat]').focus()")
        b.type("Enter")
        b.run("document.getElementById('most').value = 5; document.getElementById('prompt').focus()")
        b.type("hello", "Control+Enter")
        assert "5 tokens read" in done(b)
        first = "".join(t for t, _ in tokens(b)).replace("\u00b7", "")  # which stands for part of a character
        b.run("document.getElementById('prompt').focus()")
        b.type("and then", "Control+Enter")
        until(lambda: len(b.run("return [...document.querySelectorAll('#messages li')].map(e => e.textContent)")) == 3, "turns")
        done(b)
        said = b.run("return [...document.querySelectorAll('#messages li')].map(e => e.textContent)")
        assert said == ["userhello", "assistant" + first, "userand then"], said
        b.run("document.querySelector('[data-view=mixing]').focus()")
        b.type("Enter")
        until(lambda: b.run("return document.querySelectorAll('#mixing .layer').length") == 2, "two layers")
        assert b.run("return document.querySelectorAll('#mixing td').length") == 8
        colours = "return [...document.querySelectorAll(arguments[0])].map(e => getComputedStyle(e).backgroundColor)"
        keys = b.run(colours, "#mixing th .key")
        assert len(set(keys)) == 3 and keys == b.run(colours, "#mixing .layer:nth-of-type(1) .bar span"), keys
        b.shot("mixing")
        # Stopping, and an error that is said. What is drawn soon ends by itself; the most likely goes on for ever.
        b.run("document.querySelector('[data-view=complete]').click(); document.getElementById('clear').click();"
              "document.getElementById('temperature').value = 0;"
              "document.getElementById('most').value = 90000; document.getElementById('prompt').value = 'x'")
        b.run("document.getElementById('go').click()")
        until(lambda: len(tokens(b)) > 3, "it runs")
        b.run("document.getElementById('stop').click()")
        until(lambda: "stopped" in text(b, "about"), "it is stopped")
        b.run("document.getElementById('prompt').value = 'x'.repeat(100001); document.getElementById('go').click()")
        until(lambda: "context" in text(b, "about"), "the error is said")
        assert b.run("return document.getElementById('about').classList.contains('wrong')")


def small_and_dark():
    with Server() as s, Browser(width=320, dark=True) as b:
        b.go("http://127.0.0.1:%d/" % s.port)
        until(lambda: "tiny" in text(b, "model"), "the model's name")
        b.run("document.getElementById('prompt').value = 'a long text '.repeat(9); document.getElementById('go').click()")
        done(b)
        b.run("document.querySelector('[data-token]').click()")
        assert b.run("return window.innerWidth") == 320
        wide = b.run("return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('body *')].filter("
                     "e => e.getBoundingClientRect().right > 321).map(e => e.id || e.tagName)]")
        assert wide == [wide[0]] and wide[0] <= 320, wide
        b.shot("small-dark")
        paper = b.run("return getComputedStyle(document.body).backgroundColor")
        assert max(int(x) for x in re.findall(r"\d+", paper)[:3]) < 64, paper
        # Contrast of text on everything that a token may be laid on.
        def light(c):
            rgb = [int(x) / 255 for x in re.findall(r"\d+", c)[:3]]
            return sum(k * (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4)
                       for k, x in zip((0.2126, 0.7152, 0.0722), rgb))
        for scheme in ("dark", "light"):
            b.command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            for shade in ("p0", "p1", "p2", "p3", "p4"):
                ink, under = b.run("const e = document.querySelector('[data-token]'); e.className = arguments[0];"
                                   "const c = getComputedStyle(e); return [c.color, c.backgroundColor]", shade)
                high, low = sorted((light(ink), light(under)), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 7, (scheme, shade, ink, under)


def with_a_key():
    keys = os.path.join(lab.ROOT, "keys")
    with open(keys, "w") as f:
        f.write("ann:secret-of-ann\n")
    with Server("--api-key-file", keys) as s:
        assert s.get("/").status == 200 and s.get("/page/app.js").status == 200
        assert s.get("/mixing").status == 401 and s.get("/v1/models").status == 401
        if not (DRIVER and BROWSER):
            return
        with Browser() as b:
            b.go("http://127.0.0.1:%d/" % s.port)
            until(lambda: not b.run("return document.getElementById('key-form').hidden"), "a key is asked for")
            assert focus(b) == "key"
            b.type("wrong-key", "Enter")
            until(lambda: not b.run("return document.getElementById('key-form').hidden"), "again")
            b.run("document.getElementById('key').value = ''")
            b.type("secret-of-ann", "Enter")
            until(lambda: "tiny" in text(b, "model"), "the model's name")
            assert b.run("return Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0


if __name__ == "__main__":
    tests = [files, with_a_key]
    if DRIVER and BROWSER:
        tests += [by_keyboard, chats_and_mixing, small_and_dark]
    else:
        print("        without chromium and chromedriver, so the page is looked at but not used")
    main(tests)
