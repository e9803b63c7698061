"""Chat templates: the texts that jinja2 makes of them, where it is there, and those written here where it is not; limits."""
import json
import os
import subprocess

import lab
from lab import END, PHA, Server, main, model

try:
    import jinja2
    import jinja2.sandbox
except ImportError:
    jinja2 = None

SYSTEM = {"role": "system", "content": "  Be brief. "}
USER = {"role": "user", "content": "Hello, how are you?"}
BOT = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nWell, \"thank you\".\n"}
MORE = {"role": "user", "content": " And caf\u00e9s\n in Hanoi? "}
CHATS = [[USER], [USER, BOT, MORE], [SYSTEM, USER], [SYSTEM, USER, BOT, MORE], [SYSTEM, USER, BOT, MORE, BOT, USER]]

# In the ways in which published models write their chats; each with what it makes of [USER, BOT, MORE], where that is short.
FORMS = {
    "marks, a default system message": """{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are helpful.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "instructions in brackets": """{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system != false %}{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m['content'] %}{% else %}{% set content = m['content'] %}{% endif %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif m['role'] == 'assistant' %}{{ ' ' + content | trim + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "lines of tags": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}
""",
    "turns, indented": """{{ bos_token }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set role = 'model' %}
    {%- else %}
        {%- set role = message.role %}
    {%- endif %}
    {{- '<start_of_turn>' ~ role ~ '\\n' ~ (message.content | trim) ~ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\\n' -}}
{%- endif %}
""",
    "headers, with a date": """{{- bos_token }}
{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system message goes to the front. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}{{- "Tools: " + tools | tojson(indent=4) }}{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {{- raise_exception("no tools here") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "thoughts of earlier turns go": """{%- if tools %}{{- 'tools' }}{%- endif %}
{%- set ns = namespace(asks=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.asks and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.asks = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and thought)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}{{- raise_exception('tools') }}{%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "a macro, pairs, counting": """{%- macro say(who, text='', mark="|") -%}
  [{{ who | upper }}{{ mark }}{{ text }}]
{%- endmacro -%}
{%- set names = {'user': 'Human', 'assistant': 'Bot', 'system': 'Rule'} -%}
{%- set ns = namespace() -%}
{%- set ns.n = 0 -%}
{% for m in messages if m.role != 'system' %}
{%- set ns.n = ns.n + 1 %}
{{ loop.index }}/{{ loop.length }} {{ say(names[m.role], m.content.strip(), mark=': ') }}
{%- else %}nobody
{%- endfor %}
{% for key, value in names.items() %}{{ key }}={{ value|lower }}{{ ', ' if not loop.last }}{% endfor %}
{{ ns.n * 3 // 2 - 1 }} {{ 7 % 3 }} {{ -7 // 2 }} {{ 2 ** 5 }} {{ 7 / 2 }} {{ 1.5 + 1 }} {{ ([1, 2] + [3]) | list | length }}
{{- ' yes' if 2 in [1, 2] and 'x' not in 'abc' else ' no' }} {{ ("a", "b") | join('-') }} {{ none is none }}
{{ 'ab' ~ 1 ~ true ~ none }} {{ undefined_thing | default('nothing') }} {{ '' | default('empty', true) }} {{ messages[-1].role[0] }}
{% set block %}  inside {{ ns.n }}  {% endset %}{{ block | trim | title }}
{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}
{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}
{{ messages[0] | tojson }} {{ {'a': [1, true, none, 'x']} | tojson }} {{ 'abcabc'.replace('b', 'xx') }} {{ 'a  b c'.split() | join('+') }}
{{ 'caf\u00e9'[1:4] }} {{ 'caf\u00e9' | length }} {{ messages | length > 1 and not false }} {{ 'A' < 'b' }} {{ (1 == 1.0) }} {{ ['a', 'b', 'c'] | reject('equalto', 'b') | join(', ') }} {{ messages | selectattr('role', 'eq', 'user') | list | length }} {{ messages | map(attribute='role') | join(' ') }} {{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='content') | first | default('none') }} {{ [0, 1, '', 'x'] | select | list | length }} {{ "q'\\"" }}
{%+ if true +%} kept {% endif %}
""",
    "what is not written": """{#- comments {{ here }} -#}
{{- '{{ not a tag }}' }} {% if messages is iterable and messages is not mapping %}list{% endif %} {{ messages[99].x if messages[99] is defined else 'none' }}
   {% if true %}
  indented
   {% endif %}
end {{ strftime_now is defined }} {{ 3 is odd }} {{ 'x' is string }} {{ (messages | first).role }} {{ loop is defined }}
""",
}
CONFIG = {"bos_token": "<s>", "eos_token": {"content": "<|endoftext|>", "lstrip": False}}


def folder(name, template, **config):
    place = os.path.join(lab.ROOT, "model-" + name)
    if not os.path.isdir(place):
        lab.shutil.copytree(model(), place)
    with open(os.path.join(place, "tokenizer_config.json"), "w") as f:
        json.dump({**CONFIG, **config, **({"chat_template": template} if template is not None else {})}, f)
    return place


def by_jinja2(template, messages):
    """As transformers renders it."""
    def refuse(text):
        raise jinja2.TemplateError(text)
    e = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                     extensions=["jinja2.ext.loopcontrols"])
    e.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
    e.globals["raise_exception"] = refuse
    e.globals["strftime_now"] = lambda form: form
    return e.from_string(template).render(messages=messages, tools=None, documents=None, add_generation_prompt=True,
                                          bos_token="<s>", eos_token="<|endoftext|>")


def rendered(s, messages):
    a = s.post("/tokenize", {"messages": messages})
    assert a.status == 200, a.body
    ids = a.json()["tokens"]
    text = b"".join(b"<|endoftext|>" if i == END else bytes([i]) for i in ids)
    return text.decode(), ids


def forms():
    for i, (name, template) in enumerate(FORMS.items()):
        with Server(folder=folder("form", template)) as s:
            assert s.get("/v1/models").json()["data"][0]["pha"]["chat_template"] == "tokenizer_config.json"
            assert s.get("/tokenizer_info").json()["chat_template"] == template
            for chat in CHATS:
                got = rendered(s, chat)[0]
                if jinja2:
                    wanted = by_jinja2(template, chat)
                    assert got == wanted, (name, chat, got, wanted)
                a = s.post("/v1/chat/completions", {"messages": chat, "max_tokens": 1})
                assert a.json()["usage"]["prompt_tokens"] == len(rendered(s, chat)[1])
    if not jinja2:
        print("        without jinja2, so only the texts in this file are compared")


def without_jinja2():
    wanted = {"marks, a default system message":
              "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nHello, how are you?<|im_end|>\n"
              "<|im_start|>assistant\n",
              "instructions in brackets": "<s>[INST] Hello, how are you? [/INST]",
              "lines of tags": "<|user|>\nHello, how are you?<|endoftext|>\n<|assistant|>\n",
              "turns, indented": "<s><start_of_turn>user\nHello, how are you?<end_of_turn>\n<start_of_turn>model\n"}
    for name, text in wanted.items():
        with Server(folder=folder("form", FORMS[name])) as s:
            assert rendered(s, [USER])[0] == text, rendered(s, [USER])
            assert rendered(s, [USER])[1].count(END) == text.count("<|endoftext|>")
    with Server(folder=folder("form", FORMS["instructions in brackets"])) as s:
        a = s.post("/v1/chat/completions", {"messages": [BOT]})
        assert a.status == 400 and a.error()["param"] == "messages" and "Roles must alternate" in a.error()["message"]


def special_tokens():
    """Only those that the template writes are one token, wherever people write them, or half of them."""
    template = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}{{ '<|end' }}{{ messages[0].content[:9] }}"
    with Server(folder=folder("special", template)) as s:
        for content in ("a<|endoftext|>b", "<|endoftext|>", "oftext|>", "<|endoftext|><|endoftext|>", "x"):
            text, ids = rendered(s, [{"role": "user", "content": content}])
            assert text == content + "<|endoftext|><|end" + content[:9], text
            assert ids.count(END) == 1 and ids[len(content)] == END, (content, ids)


def where_they_come_from():
    chat = [USER]
    file = os.path.join(lab.ROOT, "own.jinja")
    with open(file, "w") as f:
        f.write("own {{ messages[0].content }}{{ bos_token }}")
    many = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "listed {{ messages[0].content }}"}]
    place = folder("places", "config {{ messages[0].content }}")

    def made(*options):
        with Server(*options, folder=place) as s:
            return rendered(s, chat)[0]
    assert made() == "config Hello, how are you?"
    assert made("--chat-template", file) == "own Hello, how are you?<s>"
    assert made("--chat-template", "plain") == "Hello, how are you?"
    assert made("--chat-template", "chatml").startswith("<|im_start|>user")
    with open(os.path.join(place, "chat_template.jinja"), "w") as f:
        f.write("beside {{ messages[0].content }}")
    assert made() == "beside Hello, how are you?"
    os.remove(os.path.join(place, "chat_template.jinja"))
    folder("places", many)
    assert made() == "listed Hello, how are you?"
    folder("places", None)
    assert made() == "Hello, how are you?"


def refused():
    """What is not understood is an error at the start, with the place."""
    cases = [("{% if x %}", "line 1", "endif"), ("a\n{{ x | unknown }}", "line 2", "unknown"), ("{{ 'a }}", "line 1", ""),
             ("{% include 'x' %}", "line 1", "include"), ("{{ x is nonsense }}", "line 1", "nonsense"),
             ("{{ (1 }}", "line 1", "')'"), ("{% endfor %}", "line 1", "endfor"), ("{{ }}", "line 1", "value"),
             ("{# x", "line 1", "without its end"), ("{{ 1 2 }}", "line 1", "too much"), ("{% for x messages %}", "line 1", "'in'"),
             ("{{ messages[0].content.explode() }}", "line 1", "explode"), ("{{ nobody.x }}", "line 1", "undefined"),
             ("{{ messages }}", "line 1", "tojson"), ("{{ nobody() }}", "line 1", "nobody"), ("{{ 1 // 0 }}", "line 1", "zero"),
             ("{{ 'a' + 1 }}", "line 1", "put together"), ("{{ raise_exception('never') }}", "line 1", "never"),
             ("{{ %s }}" % ("(" * 300), "line 1", "inside of each other"), ("{{ %s1 }}" % ("1+" * 5000), "line 1", "too long"),
             ("{% if a %}" * 200, "line 1", "inside of each other"), ("{%% if a %%}%s{%% endif %%}" % ("{% elif a %}" * 300), "line 1", "more than 100"),
             ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "line 1", "macros"), ("{{ '%s' }}" % ("x" * (2 << 20)), "", "longer"),
             ("{{ not " * 1 + "not " * 300 + "x }}", "line 1", "inside of each other")]
    for text, *parts in cases:
        p = subprocess.run([PHA, "serve", "--model", folder("bad", text), "--port", "0"], capture_output=True, text=True,
                           cwd=lab.ROOT)
        assert p.returncode == 3 and p.stderr.count("\n") == 1, (text[:60], p.returncode, p.stderr)
        assert all(part in p.stderr for part in parts) and "--chat-template" in p.stderr, (text[:60], p.stderr)
    p = subprocess.run([PHA, "serve", "--model", model(), "--chat-template", "nowhere", "--port", "0"],
                       capture_output=True, text=True, cwd=lab.ROOT)
    assert p.returncode == 3 and "no such file" in p.stderr, p.stderr
    blocks = os.path.join(lab.ROOT, "fifo")
    os.mkfifo(blocks)
    blocked = folder("blocked", None)
    os.mkfifo(os.path.join(blocked, "chat_template.jinja"))
    for name, *options in ((blocked,), (model(), "--chat-template", blocks), (model(), "--api-key-file", blocks)):
        p = subprocess.run([PHA, "serve", "--model", name, *options, "--port", "0"], capture_output=True, text=True,
                           cwd=lab.ROOT, timeout=20)
        assert p.returncode and "not a regular file" in p.stderr, (options, p.stderr)


def bounded():
    """A template can take no more steps, memory or text than there are, whatever is sent."""
    long_sum = "+".join(["1"] * 200)
    for text in ("{% if messages|length > 3 %}{% for a in range(100000) %}{% if " + long_sum + " == 0 %}x{% endif %}{% endfor %}{% endif %}",
                 "{% if messages|length > 3 %}{% for a in range(1000000) %}{% for b in range(1000000) %}x{% endfor %}{% endfor %}{% endif %}",
                 "{% if messages|length > 3 %}{% set ns = namespace(x='xxxxxxxx') %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{% endif %}",
                 "{% if messages|length > 3 %}{% for a in range(1000000) %}{{ messages[0].content }}{% endfor %}{% endif %}"):
        with Server(folder=folder("bounded", text + "x")) as s:
            assert rendered(s, [USER])[0] == "x"
            a = s.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "y" * 1000}] * 4})
            assert a.status == 400 and "too" in a.error()["message"], a.body
            assert long_sum not in text or "too many steps" in a.error()["message"], a.body
            assert s.get("/health").status == 200


main([forms, without_jinja2, special_tokens, where_they_come_from, refused, bounded])
