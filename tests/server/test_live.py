"""The real process: its command line, its answers over TCP, its end."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest

from reference_server.server import listen

TINY = ("--seeded-shape", "tiny")
TEXTS = ["今天天气很好", "GPT-4 costs 3.5 $", "长" * 700]


def test_the_openai_client_gets_the_same_vectors_in_both_forms(live) -> None:
    """By default it asks for base64; the float form carries the same bits."""
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        (model,) = client.models.list().data
        by_default = client.embeddings.create(input=TEXTS, model=model.id)
        floats = client.embeddings.create(input=TEXTS, model=model.id, encoding_format="float")
    assert model.id == "seeded-tiny"
    assert [item.index for item in by_default.data] == [0, 1, 2]
    left = np.float32([item.embedding for item in by_default.data])
    right = np.float32([item.embedding for item in floats.data])
    assert np.array_equal(left, right)
    assert left.shape == (3, 64)
    assert by_default.usage.prompt_tokens == 8 + 16 + 512


def test_the_openai_client_understands_a_refusal(live) -> None:
    client = openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0)
    with client, pytest.raises(openai.NotFoundError) as refused:
        client.embeddings.create(input="a", model="other")
    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"


def test_ids_and_text_give_one_vector(live) -> None:
    text = live.client.post("/v1/embeddings", json={"input": "a7"}).json()
    vocabulary = [101, 104 + 32 + 10, 104 + 32 + 36 + 7, 102]  # [CLS] a ##7 [SEP]
    ids = live.client.post("/v1/embeddings", json={"input": vocabulary}).json()
    plain = live.client.post("/embedding", json={"text": "a7"}).json()
    assert ids["usage"] == text["usage"]
    assert np.allclose(ids["data"][0]["embedding"], text["data"][0]["embedding"], atol=1e-6)
    assert np.allclose(plain["embedding"], text["data"][0]["embedding"], atol=1e-6)


def test_info_says_what_runs(live) -> None:
    info = live.client.get("/info").json()
    precision = {"baseline": "fp32", "optimized": "int8"}[info["profile"]]
    expected = {
        "engine": "onnx",
        "precision": precision,
        "device": "cpu",
        "threads": 1,
        "providers": ["CPUExecutionProvider"],
        "weights": "seeded:0 (not a trained model)",
        "model": "seeded-tiny",
        "dimension": 64,
        "max_tokens": 512,
        "vocabulary": 21128,
        "ready": True,
    }
    assert {key: info[key] for key in expected} == expected
    assert info["settings"]["batching"] == {"fp32": "off", "int8": "dynamic"}[precision]


def test_server_timing_fits_into_what_the_client_sees(live) -> None:
    began = time.perf_counter()
    answer = live.client.post("/v1/embeddings", json={"input": "量一量"})
    wall_ms = (time.perf_counter() - began) * 1e3
    phases = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"]))
    assert list(phases) == ["queue", "tokenize", "infer", "serialize"]
    assert float(phases["infer"]) > 0
    assert sum(map(float, phases.values())) <= wall_ms


def test_malformed_requests_over_tcp(live) -> None:
    """A few rows of the table through the real parser, and the server still stands."""
    post = live.client.post
    assert post("/v1/embeddings", content=b"\xff").status_code == 400
    assert post("/v1/embeddings", content=b"[" * 100_000).status_code == 400
    assert post("/v1/embeddings", json={"input": [30522]}).status_code == 400
    assert live.client.get("/v1/embeddings").headers["allow"] == "POST"
    assert live.client.get("/nothing").json()["error"]["code"] == "not_found"
    assert live.client.get("/healthz").status_code == 200


def test_an_oversized_body_is_refused_at_its_head(live) -> None:
    """The declared length is enough: the body is not awaited."""
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_answers_leave_at_once() -> None:
    """Nagle's algorithm is off on accepted connections: it cost 40 ms an answer."""

    async def accepted_option() -> int:
        found = asyncio.get_running_loop().create_future()

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(accept, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                option = await found
                writer.close()
                await writer.wait_closed()
        return option

    assert asyncio.run(accepted_option()) != 0


def test_many_at_once_each_get_their_own(live) -> None:
    texts = [f"第{n}条" for n in range(40)]
    alone = [live.client.post("/embedding", json={"text": text}).json() for text in texts]
    together: dict[int, object] = {}

    def ask(index: int) -> None:
        together[index] = live.client.post("/embedding", json={"text": texts[index]}).json()

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, expected in enumerate(alone):
        assert np.allclose(together[index]["embedding"], expected["embedding"], atol=0.02)


def test_a_directory_is_served_under_its_name(start_server: Callable, tiny_directory: Path) -> None:
    server = start_server("--model", str(tiny_directory)).wait_ready()
    info = server.client.get("/info").json()
    assert (info["model"], info["weights"]) == ("tiny-zh", f"directory {tiny_directory}")
    renamed = start_server("--model", str(tiny_directory), "--model-name", "mine").wait_ready()
    assert renamed.client.get("/v1/models").json()["data"][0]["id"] == "mine"


def test_a_key_opens_a_public_address(start_server: Callable, tmp_path: Path) -> None:
    """With a key no force is needed; the OpenAI client's own key is the one that is asked for."""
    file = tmp_path / "keys"
    file.write_text("sesame\n")
    setting = f"api_key_file={file}"
    server = start_server(*TINY, "--host", "0.0.0.0", "--set", setting).wait_ready()
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sesame", max_retries=0) as client:
        assert len(client.embeddings.create(input="a", model="seeded-tiny").data) == 1
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.embeddings.create(input="a", model="seeded-tiny")
    assert refused.value.code == "invalid_api_key"
    assert server.client.get(f"{url}/readyz").status_code == 200
    server.process.terminate()
    assert "anybody" not in server.end()[1]


def test_a_student_is_built_where_it_is_asked_for(start_server: Callable) -> None:
    server = start_server(*TINY, "--set", "degrade=small").wait_ready()
    assert server.client.post("/embedding", json={"text": "a"}).status_code == 200
    server.process.terminate()
    assert "under overload a student of 1 layers answers" in server.end()[1]
    code, log = start_server(*TINY, "--set", "degrade=small", "--set", "degrade_layers=3").end()
    assert (code, "3 layers asked for; the model has 1 to 2" in log) == (2, True)


def test_the_log_says_what_is_served(start_server: Callable) -> None:
    server = start_server(*TINY, "--seed", "5").wait_ready()
    server.process.terminate()
    _, log = server.end()
    assert "not a trained model; vectors carry no meaning" in log
    assert "model loaded: seeded:5" in log


def test_alive_before_ready(start_server: Callable) -> None:
    """The port answers while the model loads; what needs the model says 503 until it is warm."""
    server = start_server("--seeded-shape", "base")
    assert server.client.get("/healthz").status_code == 200
    statuses = [server.client.get("/readyz").status_code]
    early = server.client.post("/v1/embeddings", json={"input": "a"})
    assert (statuses[0], early.status_code) == (503, 503)
    assert early.json()["error"]["code"] == "model_not_ready"
    server.wait_ready()
    assert server.client.get("/readyz").status_code == 200
    assert server.client.post("/v1/embeddings", json={"input": "a"}).status_code == 200


def _stop_by_signal(number: signal.Signals) -> Callable:
    return lambda server: server.process.send_signal(number)


def _stop_by_stdin(server) -> None:
    server.process.stdin.close()


@pytest.mark.parametrize(
    ("stop", "arguments"),
    [
        pytest.param(_stop_by_signal(signal.SIGTERM), (), id="sigterm"),
        pytest.param(_stop_by_signal(signal.SIGINT), (), id="sigint"),
        pytest.param(_stop_by_stdin, ("--stop-on-stdin-close",), id="stdin"),
    ],
)
@pytest.mark.parametrize("profile", ["baseline", "optimized"])
def test_accepted_requests_are_answered_before_the_end(
    stop: Callable, arguments: Sequence[str], profile: str, start_server: Callable
) -> None:
    """A long list is in the engine when the stop comes: it is answered whole, then exit 0."""
    server = start_server(*TINY, "--profile", profile, *arguments).wait_ready()
    answers: list[httpx.Response] = []
    texts = ["长" * 50 + str(n) for n in range(400)]

    def ask() -> None:
        answers.append(server.client.post("/v1/embeddings", json={"input": texts}))

    asking = threading.Thread(target=ask)
    asking.start()
    with httpx.Client(base_url=server.url, trust_env=False) as watcher:
        while "reference_server_batch_inputs_count 0.0" in watcher.get("/metrics").text:
            pass
    stop(server)
    asking.join()
    assert (answers[0].status_code, len(answers[0].json()["data"])) == (200, 400)
    assert server.end()[0] == 0
    assert server.line() == ""  # "ready" was the last line of stdout


def test_a_second_interrupt_does_not_wait(start_server: Callable) -> None:
    """Thousands of texts are queued: Ctrl-C, Ctrl-C leaves them, and says so."""
    server = start_server(*TINY).wait_ready()

    def ask() -> None:
        texts = [f"{n}" + "长" * 500 for n in range(2048)]
        with pytest.raises(httpx.TransportError):
            server.client.post("/v1/embeddings", json={"input": texts})

    asking = threading.Thread(target=ask)
    asking.start()
    with httpx.Client(base_url=server.url, trust_env=False) as watcher:
        while "reference_server_batch_inputs_count 0.0" in watcher.get("/metrics").text:
            pass
    server.process.send_signal(signal.SIGINT)
    while True:  # until the first one was taken: the port is closed
        try:
            httpx.get(f"{server.url}/healthz", trust_env=False)
        except httpx.TransportError:
            break
    server.process.send_signal(signal.SIGINT)
    asking.join()
    code, log = server.end()
    assert (code, "accepted requests are dropped" in log) == (1, True)


def test_stopping_while_loading(start_server: Callable) -> None:
    server = start_server("--seeded-shape", "base")
    server.process.terminate()
    code, log = server.end()
    assert code == 0
    assert "Traceback" not in log


def refused(*arguments: str) -> str:
    """Run to the end; check that it is a refusal in one line and return the line."""
    command = [sys.executable, "-m", "reference_server", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--model", "/nowhere"], "/nowhere: no such directory", id="model"),
        pytest.param(["--model", "/", "--seed", "1"], "do not go with --model", id="seed"),
        pytest.param(["--set", "cache=1"], "unknown setting 'cache'; allowed: engine", id="key"),
        pytest.param(["--set", "batching=x"], "allowed: off|dynamic", id="value"),
        pytest.param(["--profile", "fast"], "invalid choice: 'fast'", id="profile"),
        pytest.param(["--port", "70000"], "not a whole number 0..65535", id="port"),
        pytest.param(["--prot", "1"], "unrecognized arguments", id="flag"),
        pytest.param(["--host", "0.0.0.0"], "--allow-public", id="public"),
        pytest.param(["--host", "example.com"], "--allow-public", id="public-name"),
        pytest.param(["--set", "api_key_env=NO_SUCH"], "NO_SUCH is not set or empty", id="no-key"),
        pytest.param(["--set", "precision=bf16"], "allowed: int8, fp32", id="precision"),
        pytest.param(["--set", "engine=torch", "--device", "cuda"], "no CUDA device", id="cuda"),
    ],
)
def test_what_cannot_start_is_refused_in_one_line(arguments: list[str], message: str) -> None:
    assert message in refused(*arguments)


def test_a_busy_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in refused(
            "--port", str(port), *TINY
        )


def test_broken_weights_end_the_server_with_one_line(
    start_server: Callable, tmp_path: Path, tiny_directory: Path
) -> None:
    """Found only after the port opened: the same exit code, no traceback."""
    for name in ("config.json", "vocab.txt"):
        (tmp_path / name).write_bytes((tiny_directory / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not tensors at all")
    code, log = start_server("--model", str(tmp_path)).end()
    assert code == 2
    assert "model.safetensors: not a safetensors file" in log.splitlines()[-1]
    assert "Traceback" not in log


@pytest.mark.parametrize("flag", ["--help", "--version", "--list-settings"])
def test_questions_are_answered_without_loading_libraries(flag: str) -> None:
    code = (
        "import sys, contextlib\n"
        "from reference_server.cli import main\n"
        "with contextlib.suppress(SystemExit): main(sys.argv[1:])\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'uvicorn', 'torch', 'tokenizers'}\n"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code, flag], capture_output=True, check=False)
    assert ended.returncode == 0
    assert ended.stdout


def test_one_thread_means_one(start_server: Callable) -> None:
    """With --threads 1, computing a long list uses the CPU of one core at most."""
    server = start_server(*TINY).wait_ready()
    began, used = time.perf_counter(), _cpu_s(server.process.pid)
    server.client.post("/v1/embeddings", json={"input": ["长" * 300 + str(n) for n in range(150)]})
    wall_s, cpu_s = time.perf_counter() - began, _cpu_s(server.process.pid) - used
    assert 0 < cpu_s <= wall_s * 1.2 + 0.1


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_importing_does_nothing() -> None:
    """No thread, no handler, no metric in the global registry."""
    code = (
        "import pkgutil, importlib, signal, threading, reference_server, prometheus_client\n"
        "before = set(prometheus_client.REGISTRY._names_to_collectors)\n"
        "for module in pkgutil.walk_packages(reference_server.__path__, 'reference_server.'):\n"
        "    if module.name != 'reference_server.__main__': importlib.import_module(module.name)\n"
        "assert set(prometheus_client.REGISTRY._names_to_collectors) == before\n"
        "assert threading.active_count() == 1\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()


def test_a_part_of_the_model_is_served(start_server: Callable) -> None:
    server = start_server(*TINY, "--set", "layers=1", "--set", "pruning_ratio=0.5").wait_ready()
    info = server.client.get("/info").json()
    assert (info["layers"], info["intermediate"], info["dimension"]) == (1, 64, 64)
    assert server.client.post("/embedding", json={"text": "a"}).status_code == 200
