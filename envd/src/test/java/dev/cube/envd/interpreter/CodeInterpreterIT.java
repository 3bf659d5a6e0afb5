package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.cube.envd.interpreter.InterpreterFixture.Execution;
import dev.cube.guest.ProcessInfo;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Runs the real Python kernel with this machine's {@code /usr/bin/python3}, which needs IPython, numpy, pandas,
 * matplotlib and Pillow.
 */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class CodeInterpreterIT {
    private static final Duration SOON = Duration.ofSeconds(60);

    @TempDir
    static Path directory;
    private static InterpreterFixture sandbox;

    @BeforeAll
    static void start() throws Exception {
        sandbox = new InterpreterFixture(directory);
        Files.createDirectories(sandbox.epoch.getParent());
        Files.write(sandbox.epoch, new byte[] {1, 0, 0, 0, 0, 0, 0, 0});
        var log = new ArrayList<String>();
        new InterpreterWarmup(sandbox.files).warmUp(sandbox.agent, log::add);
        assertThat(log).containsExactly("code interpreter: Python is ready");
        assertThat(sandbox.run("1").of("number_of_executions").getFirst().path("execution_count").asInt())
                .as("warming up leaves no trace").isEqualTo(1);
    }

    @AfterAll
    static void stop() {
        sandbox.close();
    }

    @Test
    void valueOfTheLastExpressionIsTheMainResult() {
        Execution execution = sandbox.run("x = 20\nx + 22");
        assertThat(execution.events()).extracting(event -> event.path("type").asText())
                .containsExactly("number_of_executions", "result", "end_of_execution");
        JsonNode result = execution.of("result").getFirst();
        assertThat(result.toString())
                .isEqualTo("{\"type\":\"result\",\"text\":\"42\",\"extra\":{},\"is_main_result\":true}");
    }

    @Test
    void stringIsShownWithoutItsQuotes() {
        assertThat(sandbox.run("'text'").text()).isEqualTo("text");
        assertThat(sandbox.run("'\"'").text()).isEqualTo("\"");
        assertThat(sandbox.run("'it\\'s'").text()).isEqualTo("it's");
    }

    @Test
    void printsArriveTogetherWithATimestamp() {
        Execution execution = sandbox.run("print(1)\nprint(2)");
        assertThat(execution.of("stdout")).hasSize(1);
        assertThat(execution.stdout()).isEqualTo("1\n2\n");
        assertThat(execution.of("stdout").getFirst().path("timestamp").asText())
                .matches("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}\\+00:00");
    }

    @Test
    void streamsAndResultsKeepTheirOrder() {
        Execution execution = sandbox.run("""
                import sys
                from IPython.display import display
                print('a')
                print('b', file=sys.stderr)
                display(1)
                print('c')
                2""");
        assertThat(execution.events()).extracting(event -> event.path("type").asText() + event.path("text").asText())
                .containsExactly("number_of_executions", "stdouta\n", "stderrb\n", "result1", "stdoutc\n", "result2",
                        "end_of_execution");
    }

    @Test
    void childrenPrintInOrder() {
        Execution execution = sandbox.run("""
                import os, subprocess
                print('before')
                os.system('echo child')
                print('between')
                subprocess.run(['sh', '-c', 'echo other; echo err >&2'])
                !echo shell
                print('after')""");
        assertThat(execution.stdout()).isEqualTo("before\nchild\nbetween\nother\nshell\nafter\n");
        assertThat(execution.stderr()).isEqualTo("err\n");
    }

    @Test
    void longRunningCellStreams() throws Exception {
        Path gate = directory.resolve("gate");
        try (InputStream body = sandbox.open("""
                import os, time
                print('first')
                while not os.path.exists(%s): time.sleep(0.01)
                print('second')""".formatted(quoted(gate)), Map.of())) {
            var lines = new BufferedReader(new InputStreamReader(body));
            assertThat(lines.readLine()).contains("number_of_executions");
            assertThat(lines.readLine()).contains("first");
            Files.createFile(gate);
            assertThat(lines.readLine()).contains("second");
        }
    }

    @Test
    void exceptionIsReportedAsIPythonGivesIt() {
        Execution execution = sandbox.run("def broken():\n    return 1 / 0\nbroken()");
        assertThat(execution.error().path("name").asText()).isEqualTo("ZeroDivisionError");
        assertThat(execution.error().path("value").asText()).isEqualTo("division by zero");
        assertThat(execution.error().path("traceback").asText())
                .contains("Traceback (most recent call last)", "----> 3 broken()", "in broken()")
                .doesNotContain("\u001b", "kernel.py");
        assertThat(execution.of("end_of_execution")).hasSize(1);
    }

    @Test
    void otherWaysToFailAreErrorsToo() {
        assertThat(sandbox.run("1 +").error().path("name").asText()).isEqualTo("SyntaxError");
        assertThat(sandbox.run("raise SystemExit(3)").error().path("name").asText()).isEqualTo("SystemExit");
        assertThat(sandbox.run("raise KeyboardInterrupt").error().path("name").asText()).isEqualTo("KeyboardInterrupt");
        assertThat(sandbox.run("input()").error().path("name").asText()).isEqualTo("StdinNotImplementedError");
        assertThat(sandbox.run("import sys; sys.stdin.read()").text()).isEmpty();
        assertThat(sandbox.run("class Bad:\n    def __repr__(self): raise ValueError('bad')\nBad()").error()
                .path("value").asText()).isEqualTo("bad");
    }

    @Test
    void stateIsKept() {
        sandbox.run("kept = 1");
        sandbox.run("1/0");
        assertThat(sandbox.run("kept += 1; kept").text()).isEqualTo("2");
    }

    @Test
    void topLevelAwait() {
        assertThat(sandbox.run("import asyncio\nawait asyncio.sleep(0.01)\nawait asyncio.sleep(0, 'done')").text())
                .isEqualTo("done");
    }

    @Test
    void indentedCellRuns() {
        assertThat(sandbox.run("    a = 5\n    a").text()).isEqualTo("5");
    }

    @Test
    void numpy() {
        assertThat(sandbox.run("import numpy as np\nnp.arange(6).reshape(2, 3)").text())
                .isEqualTo("array([[0, 1, 2],\n       [3, 4, 5]])");
    }

    @Test
    void figureIsAPicture() {
        Execution shown = sandbox.run("import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4])\nplt.show()");
        assertThat(shown.of("result")).hasSize(1);
        JsonNode figure = shown.of("result").getFirst();
        assertThat(figure.path("png").asText()).startsWith("iVBOR");
        assertThat(figure.path("text").asText()).startsWith("<Figure size ");
        assertThat(figure.path("is_main_result").asBoolean()).isFalse();
        Execution open = sandbox.run("plt.plot([1, 2], [3, 4]);");
        assertThat(open.of("result")).as("left open at the end of the cell").hasSize(1);
        assertThat(sandbox.run("plt.get_fignums()").text()).isEqualTo("[]");
    }

    @Test
    void figureIsDescribedAsData() {
        assertThat(chart("""
                plt.plot([1, 2], [3, 4], label='up'); plt.plot([1, 2, 3], [1, 4, 9])
                plt.title('Title'); plt.xlabel('time (s)'); plt.grid(True)"""))
                .hasToString("line Title time (s)|s null|null linear "
                        + "[{\"label\":\"up\",\"points\":[[1.0,3.0],[2.0,4.0]]},"
                        + "{\"label\":\"Line 1\",\"points\":[[1.0,1.0],[2.0,4.0],[3.0,9.0]]}]");
        assertThat(chart("plt.scatter([1], [2], label='dots')")).hasToString("scatter null null|null null|null linear "
                + "[{\"label\":\"dots\",\"points\":[[1.0,2.0]]}]");
        assertThat(chart("plt.bar(['a', 'b'], [1, 2], label='all')")).hasToString("bar null null|null null|null  "
                + "[{\"label\":\"a\",\"group\":\"all\",\"value\":1.0},{\"label\":\"b\",\"group\":\"all\",\"value\":2.0}]");
        assertThat(chart("plt.barh(['a'], [3]); plt.xlabel('count')")).hasToString("bar null null|null count|null  "
                + "[{\"label\":\"a\",\"group\":\"Group 0\",\"value\":3.0}]");
        assertThat(chart("plt.pie([1, 3], labels=['p', 'q'])")).hasToString("pie null | |  "
                + "[{\"label\":\"p\",\"angle\":90.0,\"radius\":1.0},{\"label\":\"q\",\"angle\":270.0,\"radius\":1.0}]");
        for (String direction : List.of("True", "False")) {
            assertThat(chart("plt.boxplot([[1, 2, 3, 4, 20]], labels=['m'], patch_artist=True, vert=%s)"
                    .formatted(direction))).hasToString("box_and_whisker null null|null null|null  "
                    + "[{\"label\":\"m\",\"min\":1.0,\"first_quartile\":2.0,\"median\":3.0,\"third_quartile\":4.0,"
                    + "\"max\":4.0,\"outliers\":[20.0]}]");
        }
        assertThat(chart("import datetime\nplt.plot([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)], [1, 2])"))
                .asString().startsWith("line null null|null null|null datetime ").contains("[[\"2020-01-01\",1.0]");
        assertThat(chart("plt.plot(['x', 'y'], [1, 2])")).asString().startsWith("line null null|null null|null categorical ");
        assertThat(chart("plt.gca().add_artist(plt.Circle((0, 0), 1)); plt.title('C')")).hasToString("unknown C | |  []");
        JsonNode several = figure("figure, axes = plt.subplots(1, 2); axes[0].plot([1, 2]); axes[1].scatter([1], [2]);"
                + " figure.suptitle('Both')").path("chart");
        assertThat(several.path("type").asText() + several.path("title").asText()).isEqualTo("superchartBoth");
        assertThat(several.path("elements")).extracting(chart -> chart.path("type").asText())
                .containsExactly("line", "scatter");
        assertThat(figure("plt.subplots()").path("chart").toString()).isEqualTo("{}");
    }

    private static String chart(String code) {
        JsonNode chart = figure(code).path("chart");
        return "%s %s %s|%s %s|%s %s %s".formatted(chart.path("type").asText(), chart.path("title").asText(),
                chart.path("x_label").asText(), chart.path("x_unit").asText(), chart.path("y_label").asText(),
                chart.path("y_unit").asText(), chart.path("x_scale").asText(), chart.path("elements"));
    }

    private static JsonNode figure(String code) {
        Execution execution = sandbox.run("import matplotlib.pyplot as plt\n" + code + "\nplt.show()");
        assertThat(execution.of("result")).as(code + execution.error()).hasSize(1);
        return execution.of("result").getFirst();
    }

    @Test
    void pictureIsShownWhenItIsTheValueAndWhenItIsSaved() {
        Execution execution = sandbox.run("""
                from PIL import Image
                image = Image.new('RGB', (2, 2))
                image.save(%s)
                image""".formatted(quoted(directory.resolve("saved.png"))));
        assertThat(execution.of("result")).extracting(result -> result.path("png").asText().substring(0, 5))
                .containsExactly("iVBOR", "iVBOR");
    }

    @Test
    void tableIsHtmlAndData() {
        Execution execution = sandbox.run("""
                import pandas as pd
                pd.DataFrame({'a': [1, 2], 'b': ['x', None], 't': pd.to_datetime(['2020-01-01', '2021-01-01'])})""");
        JsonNode result = execution.of("result").getFirst();
        assertThat(result.path("html").asText()).contains("<table", "<td>x</td>");
        assertThat(result.path("data").toString())
                .isEqualTo("{\"a\":[1,2],\"b\":[\"x\",null],\"t\":[\"2020-01-01T00:00:00\",\"2021-01-01T00:00:00\"]}");
    }

    @Test
    void plainDataIsJson() {
        assertThat(sandbox.run("[1, {'a': None, 2: float('nan')}]").of("result").getFirst().path("json").toString())
                .isEqualTo("[1,{\"a\":null,\"2\":null}]");
        assertThat(sandbox.run("[{1, 2}]").of("result").getFirst().has("json")).isFalse();
    }

    @Test
    void otherMimeTypesAreExtra() {
        JsonNode result = sandbox.run("""
                from IPython.display import display
                display({'text/latex': 'x', 'a/b': {'n': 10 ** 900}, 'image/png': b'abc'}, raw=True)""")
                .of("result").getFirst();
        assertThat(result.path("latex").asText()).isEqualTo("x");
        assertThat(result.path("png").asText()).isEqualTo("YWJj");
        assertThat(result.path("extra").path("a/b").path("n").asText()).hasSize(901);
    }

    @Test
    void nestedTooDeepIsLeftOut() {
        Execution execution = sandbox.run("""
                deep = []
                for _ in range(800): deep = [deep]
                display({'application/json': deep}, raw=True)
                'next'""");
        assertThat(execution.stderr()).contains("left out");
        assertThat(execution.text()).isEqualTo("next");
    }

    @Test
    void anyTextArrives() {
        String odd = "h\u00e9\ud83d\ude00\u2028\u0000\u001b";
        assertThat(sandbox.run("print('" + odd.replace("\u0000", "\\0") + "', end='')").stdout()).isEqualTo(odd);
        assertThat(sandbox.run("print('\\ud800')").stdout()).isEqualTo("?\n");
        assertThat(sandbox.run("import sys; sys.stdout.buffer.write(b'a\\xffb\\n');").stdout())
                .isEqualTo("a\ufffdb\n");
        assertThat(sandbox.run("!printf 'a\\377b'").stdout()).isEqualTo("a\ufffdb");
    }

    @Test
    void environmentIsForOneCell() {
        sandbox.run("import os; os.environ['OLD'] = 'old'");
        assertThat(sandbox.run("os.environ['NEW'] + os.environ['OLD'] + os.popen('echo $NEW').read()",
                Map.of("env_vars", Map.of("NEW", "n'ew", "OLD", "changed"))).text()).isEqualTo("n'ewchangedn'ew\\n");
        assertThat(sandbox.run("os.environ.get('NEW'), os.environ['OLD']").text()).isEqualTo("(None, 'old')");
        assertThat(sandbox.run("1", Map.of("env_vars", Map.of("a=b", "c"))).error()).isNotNull();
        assertThat(sandbox.run("2").text()).isEqualTo("2");
    }

    @Test
    void clientThatGoesAwayInterruptsItsCell() throws Exception {
        for (String endless : List.of("while True: pass", "import time\ntime.sleep(1000)",
                "import os\nos.system('sleep 1000')\ntime.sleep(1000)", "!sleep 1000",
                "while True: print('x' * 1000)")) {
            try (InputStream body = sandbox.open("print('started', flush=True)\n" + endless, Map.of())) {
                var lines = new BufferedReader(new InputStreamReader(body));
                assertThat(lines.readLine()).contains("number_of_executions");
                assertThat(lines.readLine()).contains("started");
            }
            assertThat(sandbox.run("1+1").text()).as(endless).isEqualTo("2");
        }
    }

    @Test
    void sandboxesFromOneSnapshotDiffer() throws Exception {
        sandbox.run("import random, numpy as np\nrandom.seed(1); np.random.seed(1)\nimport os; os.environ['GONE'] = '1'");
        String expected = sandbox.run("random.seed(1); np.random.seed(1); (random.random(), np.random.rand())").text();
        sandbox.run("random.seed(1); np.random.seed(1)");
        Files.writeString(sandbox.epoch.resolveSibling("environment"), "CUBE_NAME=one\0TZ=Asia/Tokyo\0MPLBACKEND=Agg\0");
        Files.write(sandbox.epoch, new byte[] {2, 0, 0, 0, 0, 0, 0, 0}, StandardOpenOption.WRITE);
        assertThat(sandbox.run("(random.random(), np.random.rand())").text()).isNotEqualTo(expected);
        assertThat(sandbox.run("import time; os.environ['CUBE_NAME'], time.tzname[0]").text())
                .isEqualTo("('one', 'JST')");
        assertThat(sandbox.run("os.environ['MPLBACKEND']").text()).as("pictures are still shown").contains("inline");
        Files.writeString(sandbox.epoch.resolveSibling("environment"), "TZ=UTC\0");
        Files.write(sandbox.epoch, new byte[] {3, 0, 0, 0, 0, 0, 0, 0}, StandardOpenOption.WRITE);
        assertThat(sandbox.run("os.environ.get('CUBE_NAME'), time.tzname[0]").text()).isEqualTo("(None, 'UTC')");
    }

    @Test
    void slowClientHoldsBackTheCell() throws Exception {
        int megabytes = 100;
        long before = sandbox.agent.outputBytes.get();
        try (InputStream body = sandbox.open(
                "line = 'x' * 1023\nfor _ in range(%d * 1024): print(line)".formatted(megabytes), Map.of())) {
            long taken = settled();
            assertThat(taken - before).as("taken from the guest while the client reads nothing")
                    .isLessThan(16 << 20);
            long printed = 0;
            var lines = new BufferedReader(new InputStreamReader(body));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                printed += InterpreterFixture.JSON.readTree(line).path("text").asText().length();
            }
            assertThat(printed).isEqualTo((long) megabytes << 20);
        }
    }

    private static long settled() {
        long[] last = {-1};
        await().atMost(SOON).pollInterval(Duration.ofMillis(500)).until(() -> {
            long now = sandbox.agent.outputBytes.get();
            boolean still = now == last[0];
            last[0] = now;
            return still;
        });
        return last[0];
    }

    @Test
    void resultThatIsTooLargeIsLeftOut() {
        Execution execution = sandbox.run("'x' * (40 << 20)");
        assertThat(execution.stderr()).contains("text/plain of the result is left out");
        assertThat(execution.of("result")).hasSize(1);
        assertThat(sandbox.run("'x' * (10 << 20)").text()).hasSize(10 << 20);
    }

    @Test
    void forkedChildCannotBreakTheProtocol() {
        Execution execution = sandbox.run("""
                import os, sys
                pid = os.fork()
                print('child' if pid == 0 else 'parent', flush=True)
                if pid: os.waitpid(pid, 0)
                pid""");
        // Two processes print at once: each writes its word and then its newline, so these may come in any order.
        assertThat(execution.stdout()).contains("child", "parent").hasSize("child\nparent\n".length());
        assertThat(execution.of("result")).hasSize(1);
        assertThat(sandbox.run("import multiprocessing\nwith multiprocessing.Pool(2) as p: print(p.map(abs, [-1, 2]))")
                .stdout()).isEqualTo("[1, 2]\n");
    }

    @Test
    void writingToEveryUsualDescriptorIsHarmless() {
        Execution execution = sandbox.run("""
                import os
                for fd in range(1, 20):
                    try: os.write(fd, b'{"type":"end","id":"x"}\\n')
                    except OSError: pass""");
        assertThat(execution.of("end_of_execution")).hasSize(1);
        assertThat(sandbox.run("1+1").text()).isEqualTo("2");
    }

    @Test
    void contextThatDiesIsMadeAnew() {
        String id = create("{}");
        Map<String, Object> there = Map.of("context_id", id);
        sandbox.run("x = 1", there);
        Execution death = sandbox.run("import os; os._exit(1)", there);
        assertThat(death.error().path("name").asText()).isEqualTo("ContextRestarting");
        assertThat(death.error().path("value").asText()).isEqualTo("Context was restarted");
        assertThat(death.of("end_of_execution")).hasSize(1);
        assertThat(sandbox.run("x", there).error().path("value").asText()).isEqualTo("name 'x' is not defined");
        assertThat(sandbox.run("exit()", there).error()).isNull();
        assertThat(sandbox.run("5", there).text()).as("after it left by itself").isEqualTo("5");
        sandbox.agent.signal(pidOf(id), 9);
        await().atMost(SOON).until(() -> sandbox.agent.processes().stream().noneMatch(process -> isOf(process, id)));
        assertThat(sandbox.run("6", there).text()).as("after it was killed while idle").isEqualTo("6");
        assertThat(sandbox.call("DELETE", "/contexts/" + id, "").statusCode()).isEqualTo(200);
    }

    @Test
    void contextsAreSeparate() throws Exception {
        Path other = Files.createDirectory(directory.resolve("other dir"));
        String id = create("{\"language\":\"Python\",\"cwd\":\"" + other + "\"}");
        Map<String, Object> there = Map.of("context_id", id);
        assertThat(sandbox.run("import os; os.getcwd()", there).text()).isEqualTo(other.toString());
        sandbox.run("separate = 1", there);
        assertThat(sandbox.run("separate").error().path("name").asText()).isEqualTo("NameError");
        JsonNode list = InterpreterFixture.JSON.readTree(sandbox.call("GET", "/contexts", "").body());
        assertThat(list.get(list.size() - 1).toString()).isEqualTo(
                "{\"id\":\"%s\",\"language\":\"python\",\"cwd\":\"%s\"}".formatted(id, other));

        sandbox.forget();
        assertThat(sandbox.run("separate", there).text()).as("found again by a host that forgot it").isEqualTo("1");

        assertThat(sandbox.call("POST", "/contexts/" + id + "/restart", "").statusCode()).isEqualTo(200);
        assertThat(sandbox.run("separate", there).error().path("name").asText()).isEqualTo("NameError");
        assertThat(sandbox.run("import os; os.getcwd()", there).text()).isEqualTo(other.toString());

        assertThat(sandbox.call("DELETE", "/contexts/" + id, "").statusCode()).isEqualTo(200);
        HttpResponse<String> gone = sandbox.call("POST", "/execute",
                "{\"code\":\"1\",\"context_id\":\"" + id + "\"}");
        assertThat(gone.statusCode()).isEqualTo(404);
        assertThat(gone.body()).isEqualTo("Context " + id + " not found");
        assertThat(sandbox.call("DELETE", "/contexts/" + id, "").statusCode()).isEqualTo(404);
        assertThat(sandbox.agent.processes()).noneMatch(process -> isOf(process, id));
    }

    @Test
    void restartEndsACellThatRuns() throws Exception {
        String id = create("{}");
        try (InputStream body = sandbox.open("print('started', flush=True)\nimport time; time.sleep(1000)",
                Map.of("context_id", id))) {
            var lines = new BufferedReader(new InputStreamReader(body));
            lines.readLine();
            assertThat(lines.readLine()).contains("started");
            assertThat(sandbox.call("POST", "/contexts/" + id + "/restart", "").statusCode()).isEqualTo(200);
            assertThat(lines.readLine()).contains("Context was restarted");
            assertThat(lines.readLine()).isEqualTo("{\"type\":\"end_of_execution\"}");
        }
        assertThat(sandbox.run("7", Map.of("context_id", id)).text()).isEqualTo("7");
        sandbox.call("DELETE", "/contexts/" + id, "");
    }

    @Test
    void languageNamesTheDefaultContext() {
        sandbox.run("named = 8");
        assertThat(sandbox.run("named", Map.of("language", "Python")).text()).isEqualTo("8");
    }

    @Test
    void badRequestsAreRefused() {
        assertThat(sandbox.call("POST", "/execute", "{}").statusCode()).isEqualTo(400);
        assertThat(sandbox.call("POST", "/execute", "nonsense").statusCode()).isEqualTo(400);
        HttpResponse<String> both = sandbox.call("POST", "/execute",
                "{\"code\":\"1\",\"context_id\":\"a\",\"language\":\"python\"}");
        assertThat(both.statusCode()).isEqualTo(400);
        assertThat(both.body()).isEqualTo("Only one of context_id or language can be provided");
        HttpResponse<String> language = sandbox.call("POST", "/execute", "{\"code\":\"1\",\"language\":\"cobol\"}");
        assertThat(language.statusCode()).isEqualTo(400);
        assertThat(language.body()).contains("'cobol'");
        assertThat(sandbox.call("POST", "/contexts", "{\"cwd\":\"/no/such\"}").statusCode()).isEqualTo(500);
        assertThat(sandbox.call("GET", "/execute", "").statusCode()).isEqualTo(405);
        assertThat(sandbox.call("GET", "/nothing", "").statusCode()).isEqualTo(404);
        assertThat(sandbox.call("GET", "/health", "").body()).isEqualTo("\"OK\"");
    }

    @Test
    void secureSandboxWantsItsToken() {
        try {
            sandbox.secure("secret");
            assertThat(sandbox.call("POST", "/execute", "{\"code\":\"1\"}").statusCode()).isEqualTo(401);
            assertThat(sandbox.call("POST", "/execute", "{\"code\":\"1\"}", "X-Access-Token", "wrong").statusCode())
                    .isEqualTo(401);
            assertThat(sandbox.call("POST", "/execute", "{\"code\":\"1\"}", "X-Access-Token", "secret").statusCode())
                    .isEqualTo(200);
            assertThat(sandbox.call("GET", "/contexts", "").statusCode()).isEqualTo(200);
        } finally {
            sandbox.open();
        }
    }

    private static String create(String body) {
        HttpResponse<String> response = sandbox.call("POST", "/contexts", body);
        assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
        try {
            return InterpreterFixture.JSON.readTree(response.body()).path("id").asText();
        } catch (Exception e) {
            throw new AssertionError(response.body(), e);
        }
    }

    private static int pidOf(String id) {
        return sandbox.agent.processes().stream().filter(process -> isOf(process, id)).findFirst().orElseThrow().pid();
    }

    private static boolean isOf(ProcessInfo process, String id) {
        return process.tag().filter(tag -> tag.contains(id)).isPresent();
    }

    private static String quoted(Path path) {
        return "'" + path + "'";
    }
}
