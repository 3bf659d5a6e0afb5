package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.cube.envd.interpreter.InterpreterFixture.Execution;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Runs the real kernels of JavaScript and Bash with this machine's {@code node} and {@code bash}. */
@Timeout(value = 3, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class OtherLanguagesIT {
    @TempDir
    static Path directory;
    private static InterpreterFixture sandbox;

    @BeforeAll
    static void start() throws Exception {
        sandbox = new InterpreterFixture(directory);
        Files.createDirectories(sandbox.epoch.getParent());
        Files.write(sandbox.epoch, new byte[] {1, 0, 0, 0, 0, 0, 0, 0});
        Files.writeString(sandbox.epoch.resolveSibling("boot_id"), "first\n");
    }

    @AfterAll
    static void stop() {
        sandbox.close();
    }

    @Test
    void javascriptHasValuesAndState() {
        assertThat(js("let x = 20\nconst y = 22\nx + y").text()).isEqualTo("42");
        assertThat(js("let x = 1; x").text()).as("declared again").isEqualTo("1");
        assertThat(js("y").text()).isEqualTo("22");
        assertThat(js("'text'").text()).isEqualTo("text");
        assertThat(js("({ a: [1, 2] })").text()).isEqualTo("{ a: [ 1, 2 ] }");
        assertThat(js("undefined").of("result")).isEmpty();
        assertThat(js("process.cwd()").text()).isEqualTo(directory.toString());
    }

    @Test
    void javascriptAwaitsAtTopLevel() {
        assertThat(js("await Promise.resolve('Hello World!')").text()).isEqualTo("Hello World!");
        assertThat(js("const later = await new Promise((done) => setTimeout(() => done(7), 10)); later").text())
                .isEqualTo("7");
    }

    @Test
    void javascriptImports() throws Exception {
        Files.writeString(directory.resolve("own.mjs"), "export default 'own'; export const named = 1;");
        assertThat(js("import { readFileSync } from 'fs'\nconsole.log(typeof readFileSync)").stdout())
                .isEqualTo("function\n");
        assertThat(js("import own, { named as other } from './own.mjs'; own + other").text()).isEqualTo("own1");
        assertThat(js("import * as all from \"./own.mjs\"\nall.named").text()).isEqualTo("1");
        assertThat(js("(await import('./own.mjs')).default").text()).isEqualTo("own");
        assertThat(js("require('path').join('a', 'b')").text()).isEqualTo("a/b");
        assertThat(js("const text = `\nimport nothing from 'nowhere'`; text.length").text()).isEqualTo("30");
        assertThat(js("import nothing from 'nowhere'").error().path("value").asText()).contains("nowhere");
    }

    @Test
    void javascriptPrintsInOrder() {
        Execution execution = js("console.log('a'); console.error('b'); display(1); console.log('c'); 2");
        assertThat(execution.events()).extracting(event -> event.path("type").asText() + event.path("text").asText())
                .containsExactly("number_of_executions", "stdouta\n", "stderrb\n", "result1", "stdoutc\n", "result2",
                        "end_of_execution");
    }

    @Test
    void javascriptStreams() throws Exception {
        Path gate = directory.resolve("gate");
        try (InputStream body = sandbox.open("""
                console.log('first');
                const fs = require('fs');
                while (!fs.existsSync('%s')) await new Promise((done) => setTimeout(done, 10));
                console.log('second')""".formatted(gate), Map.of("language", "js"))) {
            var lines = new BufferedReader(new InputStreamReader(body));
            assertThat(lines.readLine()).contains("number_of_executions");
            assertThat(lines.readLine()).contains("first");
            Files.createFile(gate);
            assertThat(lines.readLine()).contains("second");
        }
    }

    @Test
    void javascriptFailures() {
        JsonNode error = js("function broken() { throw new TypeError('bad') }\nbroken()").error();
        assertThat(error.path("name").asText()).isEqualTo("TypeError");
        assertThat(error.path("value").asText()).isEqualTo("bad");
        assertThat(error.path("traceback").asText()).startsWith("TypeError: bad\n    at broken")
                .doesNotContain("kernel.js");
        assertThat(js("nope").error().path("name").asText()).isEqualTo("ReferenceError");
        assertThat(js("not a program").error().path("name").asText()).isEqualTo("SyntaxError");
        assertThat(js("throw 5").error().path("value").asText()).isEqualTo("5");
        assertThat(js("await Promise.reject(new Error('no'))").error().path("value").asText()).isEqualTo("no");
        assertThat(js("setTimeout(() => { throw new Error('late') }, 1);"
                + "await new Promise((done) => setTimeout(done, 50))").stderr()).contains("Error: late");
        assertThat(js("process.exit(3)").error().path("name").asText()).isEqualTo("ContextRestarting");
        assertThat(js("typeof y").text()).as("in a new process").isEqualTo("undefined");
    }

    @Test
    void javascriptShowsWhatAnObjectSaysOfItself() {
        Execution execution = js("({ [Symbol.for('Jupyter.display')]() { return { 'text/html': '<b>x</b>' } } })");
        assertThat(execution.of("result").getFirst().path("html").asText()).isEqualTo("<b>x</b>");
    }

    @Test
    void javascriptChildrenPrintToStandardError() {
        assertThat(js("require('child_process').execSync('echo from child >&2; echo x', { stdio: 'inherit' })"
                + "; await new Promise((done) => setTimeout(done, 500))").stderr()).contains("from child");
    }

    @Test
    void clientThatGoesAwayInterruptsItsCell() throws Exception {
        for (String endless : List.of("while (true) {}", "await new Promise(() => {})",
                "while (true) console.log('x'.repeat(1000))")) {
            abandon("console.log('started');\n" + endless, "js");
            assertThat(js("console.log('next'); 1+1").stdout()).as(endless).isEqualTo("next\n");
        }
        abandon("console.log('started'); await 0; while (true) {}", "js");
        assertThat(js("1+1").text()).as("killed, since Node cannot interrupt this").isEqualTo("2");
        for (String endless : List.of("sleep 1000", "while :; do :; done", "while :; do echo x; done",
                "cat /dev/zero | tail -c 1")) {
            abandon("kept=7; echo started; " + endless, "bash");
            assertThat(bash("echo $kept").stdout()).as(endless).isEqualTo("7\n");
        }
    }

    /** Node is told of an interrupt by a thread of its own, which may do so after the cell. */
    @Test
    void interruptReachesNoLaterCell() throws Exception {
        for (int i = 0; i < 30; i++) {
            abandon("console.log('started'); await new Promise(() => {})", "js");
            assertThat(js("console.log('next')").stdout()).as("cell %d", i).isEqualTo("next\n");
        }
    }

    private static void abandon(String code, String language) throws Exception {
        try (InputStream body = sandbox.open(code, Map.of("language", language))) {
            var lines = new BufferedReader(new InputStreamReader(body));
            assertThat(lines.readLine()).contains("number_of_executions");
            assertThat(lines.readLine()).contains("started");
        }
    }

    @Test
    void variablesLastForOneCell() {
        Map<String, String> variables = Map.of("CUBE_A", "it's \"x\"\n$y");
        for (String language : List.of("js", "bash")) {
            String show = language.equals("js") ? "console.log(process.env.CUBE_A ?? '')" : "printf '%s\\n' \"$CUBE_A\"";
            assertThat(sandbox.run(show, Map.of("language", language, "env_vars", variables)).stdout())
                    .isEqualTo("it's \"x\"\n$y\n");
            assertThat(sandbox.run(show, Map.of("language", language)).stdout()).isEqualTo("\n");
        }
        bash("CUBE_B=own");
        assertThat(sandbox.run("bash -c 'echo $CUBE_B'", Map.of("language", "bash", "env_vars", Map.of("CUBE_B", "given")))
                .stdout()).isEqualTo("given\n");
        assertThat(bash("echo $CUBE_B; bash -c 'echo [$CUBE_B]'").stdout()).isEqualTo("own\n[]\n");
    }

    @Test
    void bashKeepsItsState() {
        bash("x=1; f() { echo \"f $1\"; }; cd /; alias g='echo aliased'");
        assertThat(bash("f $x; pwd\ng").stdout()).isEqualTo("f 1\n/\naliased\n");
        bash("cd " + directory);
        assertThat(bash("for i in 1 2; do\n  echo $i\ndone\ncat <<END\n'quoted' \\$x\nEND").stdout())
                .isEqualTo("1\n2\n'quoted' $x\n");
    }

    @Test
    void bashTellsOfFailures() {
        Execution failed = bash("echo out; echo err >&2; (exit 3)");
        assertThat(failed.stdout()).isEqualTo("out\n");
        assertThat(failed.stderr()).isEqualTo("err\n");
        assertThat(failed.error().toString())
                .isEqualTo("{\"type\":\"error\",\"name\":\"\",\"value\":\"3\",\"traceback\":\"\"}");
        assertThat(bash("true").error()).isNull();
        assertThat(bash("if then").stderr()).contains("syntax error");
        assertThat(bash("no-such-command").error().path("value").asText()).isEqualTo("127");
        assertThat(bash("read line; echo \"[$line]\"; cat").stdout()).as("nothing to read").isEqualTo("[]\n");
        assertThat(bash("exit 4").error().path("name").asText()).isEqualTo("ContextRestarting");
        assertThat(bash("echo again").stdout()).isEqualTo("again\n");
    }

    @Test
    void bashCountsExecutions() {
        int count = bash(":").of("number_of_executions").getFirst().path("execution_count").asInt();
        assertThat(bash(":").of("number_of_executions").getFirst().path("execution_count").asInt())
                .isEqualTo(count + 1);
    }

    @Test
    void bashOutputIsNotMistakenForMarks() {
        assertThat(bash("printf '\\036cube:x:end:0\\n\\036'; echo é; printf '\\xc3'; sleep 0.1; printf '\\xa9\\n'").stdout())
                .isEqualTo("\u001ecube:x:end:0\n\u001eé\né\n");
        assertThat(bash("head -c 3000000 /dev/zero | tr '\\0' x").stdout()).hasSize(3_000_000);
    }

    @Test
    void sandboxesFromOneSnapshotDiffer() throws Exception {
        bash("RANDOM=1");
        String expected = bash("RANDOM=1; echo $RANDOM").stdout();
        bash("RANDOM=1");
        js("1");
        Files.writeString(sandbox.epoch.resolveSibling("environment"), "CUBE_NAME=one\0");
        Files.writeString(sandbox.epoch.resolveSibling("boot_id"), "second\n");
        assertThat(bash("echo $CUBE_NAME $RANDOM").stdout()).startsWith("one ").doesNotContain(" " + expected);
        assertThat(js("process.env.CUBE_NAME + (Math.random() < 1)").text()).isEqualTo("onetrue");
        Files.writeString(sandbox.epoch.resolveSibling("environment"), "");
        Files.writeString(sandbox.epoch.resolveSibling("boot_id"), "third\n", StandardOpenOption.TRUNCATE_EXISTING);
        assertThat(bash("echo [$CUBE_NAME]").stdout()).isEqualTo("[]\n");
        assertThat(js("process.env.CUBE_NAME").of("result")).isEmpty();
    }

    @Test
    void contextsOfEachLanguage() throws Exception {
        HttpResponse<String> made = sandbox.call("POST", "/contexts", "{\"language\":\"js\",\"cwd\":\"/\"}");
        JsonNode context = InterpreterFixture.JSON.readTree(made.body());
        assertThat(context.path("language").asText()).isEqualTo("javascript");
        assertThat(sandbox.run("process.cwd()", Map.of("context_id", context.path("id").asText())).text()).isEqualTo("/");
        assertThat(sandbox.call("DELETE", "/contexts/" + context.path("id").asText(), "").statusCode()).isEqualTo(200);
        assertThat(sandbox.call("GET", "/contexts", "").body()).contains("\"javascript\"");
        for (String missing : List.of("julia", "cobol")) {
            HttpResponse<String> refused = sandbox.call("POST", "/contexts", "{\"language\":\"" + missing + "\"}");
            assertThat(refused.statusCode()).isEqualTo(400);
            assertThat(refused.body()).contains("'" + missing + "'", "python, javascript, typescript, bash, r, java");
        }
    }

    @Test
    void hostThatForgotFindsThemAgain() {
        bash("found=1");
        js("var found = 2");
        sandbox.forget();
        assertThat(bash("echo $found").stdout()).isEqualTo("1\n");
        assertThat(js("found").text()).isEqualTo("2");
    }

    private static Execution js(String code) {
        return sandbox.run(code, Map.of("language", "js"));
    }

    private static Execution bash(String code) {
        return sandbox.run(code, Map.of("language", "bash"));
    }
}
