package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.cube.envd.interpreter.InterpreterFixture.Execution;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Runs the real kernels of R, where this machine has it, and of Java, by the JDK that runs the tests. */
@Timeout(value = 3, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RAndJavaIT {
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
    void rHasValuesAndState() {
        assertThat(r("x <- 20; y <- 22\nx + y").text()).isEqualTo("[1] 42");
        assertThat(r("'a\\\\b' ; \"\\u00e9\"").of("result")).extracting(result -> result.path("text").asText())
                .containsExactly("[1] \"a\\\\b\"", "[1] \"\u00e9\"");
        assertThat(r("x <- 1").of("result")).isEmpty();
        assertThat(r("invisible(7)").of("result")).isEmpty();
        assertThat(r("square <- function(n) n^2\nsquare(x)").text()).isEqualTo("[1] 1");
        assertThat(r("getwd()").text()).isEqualTo("[1] \"" + directory + "\"");
        assertThat(r("").of("result")).isEmpty();
    }

    @Test
    void rPrintsInOrder() {
        Execution execution = r("cat('a\\n'); message('b'); print(1:3); 5; cat('c')\nwarning('careful')");
        assertThat(execution.stdout()).isEqualTo("a\n[1] 1 2 3\nc");
        assertThat(execution.stderr()).contains("b\n", "careful");
        assertThat(r("system('echo from child; cat')").stdout()).isEqualTo("from child\n");
    }

    @Test
    void rStreams() throws Exception {
        streams("cat('first\\n'); while (!file.exists('%s')) Sys.sleep(0.01); cat('second\\n')", "r");
    }

    @Test
    void rShowsTablesAndPlots() {
        JsonNode table = r("data.frame(n = 1:2, s = c('<a>', 'b'))").of("result").getFirst();
        assertThat(table.path("text").asText()).contains("n", "<a>");
        assertThat(table.path("html").asText()).contains("<th>n</th>", "<td>&lt;a&gt;</td>");
        Execution plots = r("plot(1:10)\nlines(10:1)\nhist(c(1, 2, 2))$counts[1]");
        assertThat(plots.of("result")).extracting(result -> result.has("png")).containsExactly(false, true, true);
        byte[] png = Base64.getDecoder().decode(plots.of("result").getLast().path("png").asText());
        assertThat(new String(png, 1, 3, StandardCharsets.US_ASCII)).isEqualTo("PNG");
        assertThat(r("1").of("result")).as("no plot again").hasSize(1);
    }

    @Test
    void rFailures() {
        JsonNode error = r("f <- function() g()\ng <- function() stop('bad')\nf()").error();
        assertThat(error.path("name").asText()).isEqualTo("ERROR");
        assertThat(error.path("value").asText()).isEqualTo("Error in g(): bad\n");
        assertThat(error.path("traceback").asText()).contains("1. f()", "2. g()").doesNotContain("evaluate");
        assertThat(r("nope").error().path("value").asText()).contains("object 'nope' not found");
        assertThat(r("stop('top')").error().path("value").asText()).isEqualTo("Error: top\n");
        assertThat(r("1 +").error().path("value").asText()).contains("unexpected end of input");
        assertThat(r("cat('said'); stop('late'); cat('never')").stdout()).isEqualTo("said");
        assertThat(r("kept <- 1; quit('no')").error().path("name").asText()).isEqualTo("ContextRestarting");
        assertThat(r("exists('kept')").text()).as("in a new process").isEqualTo("[1] FALSE");
    }

    @Test
    void rHasVariablesForOneCell() {
        Map<String, Object> more = Map.of("language", "r", "env_vars", Map.of("CUBE_R", "a\nb"));
        assertThat(sandbox.run("cat(Sys.getenv('CUBE_R'))", more).stdout()).isEqualTo("a\nb");
        assertThat(r("Sys.getenv('CUBE_R')").text()).isEqualTo("[1] \"\"");
    }

    @Test
    void rIsInterrupted() throws Exception {
        for (String endless : new String[] {"while (TRUE) {}", "Sys.sleep(1000)", "system('sleep 1000')",
                "repeat tryCatch(stop('x'), error = function(e) NULL)", "repeat cat('x')"}) {
            abandon("left <- 7; cat('started\\n')\n" + endless, "r");
            assertThat(r("left").text()).as(endless).isEqualTo("[1] 7");
        }
        for (int i = 0; i < 10; i++) {
            abandon("cat('started\\n'); Sys.sleep(1000)", "r");
            assertThat(r("for (i in 1:100000) NULL; left").text()).as("an interrupt reaches no later cell").isEqualTo("[1] 7");
        }
    }

    @Test
    void javaHasValuesAndState() {
        assertThat(java("int x = 20;\nint y = 22;\nx + y").text()).isEqualTo("42");
        assertThat(java("int x = 1;").of("result")).isEmpty();
        assertThat(java("\"a\\\"\u00e9\"").text()).isEqualTo("a\\\"\u00e9");
        assertThat(java("int square(int n) {\n  return n * n;\n}\nrecord Point(int x, int y) {}\nnew Point(square(3), x)").text())
                .isEqualTo("Point[x=9, y=1]");
        assertThat(java("List.of(3, 1, 2).stream().sorted().map(n -> \"n\" + n).collect(Collectors.joining())").text())
                .isEqualTo("n1n2n3");
        assertThat(java("new File(\"\").getAbsolutePath()").text()).isEqualTo(directory.toString());
        assertThat(java("").of("result")).isEmpty();
    }

    @Test
    void javaPrintsInOrder() {
        Execution execution = java("System.out.println(\"a\u00e9\");\nSystem.err.println(\"b\");\nSystem.out.print(\"c\");\n1 + 1");
        assertThat(execution.events()).extracting(event -> event.path("type").asText() + event.path("text").asText())
                .containsExactly("number_of_executions", "stdouta\u00e9\n", "stderrb\n", "stdoutc", "result2", "end_of_execution");
        assertThat(java("for (int i = 0; i < 20000; i++) System.out.println(\"line \" + i);").stdout().lines()).hasSize(20000);
    }

    @Test
    void javaStreams() throws Exception {
        streams("System.out.println(\"first\");\nwhile (!Files.exists(Path.of(\"%s\"))) Thread.sleep(10);\n"
                + "System.out.println(\"second\");", "java");
    }

    @Test
    void javaFailures() {
        JsonNode error = java("void broken() { throw new IllegalStateException(\"bad\"); }\nbroken()").error();
        assertThat(error.path("name").asText()).isEqualTo("java.lang.IllegalStateException");
        assertThat(error.path("value").asText()).isEqualTo("bad");
        assertThat(error.path("traceback").asText()).startsWith("java.lang.IllegalStateException: bad\n    at ").contains("broken");
        JsonNode compilation = java("int z = \"text\";").error();
        assertThat(compilation.path("name").asText()).isEqualTo("CompilationException");
        assertThat(compilation.path("value").asText()).contains("incompatible types");
        assertThat(compilation.path("traceback").asText()).contains("int z = \"text\";\n        ^");
        assertThat(java("for (int i = 0;").error()).isNotNull();
        Execution stopped = java("System.out.print(\"said\");\nint q = 1 / 0;\nSystem.out.print(\"never\");");
        assertThat(stopped.stdout()).isEqualTo("said");
        assertThat(stopped.error().path("name").asText()).isEqualTo("java.lang.ArithmeticException");
        assertThat(java("int kept = 1;\nSystem.exit(3);").error().path("name").asText()).isEqualTo("ContextRestarting");
        assertThat(java("kept").error()).as("in a new process").isNotNull();
    }

    @Test
    void javaHasVariablesForOneCell() {
        Map<String, Object> more = Map.of("language", "java", "env_vars", Map.of("CUBE_JAVA", "given"));
        assertThat(sandbox.run("System.getenv(\"CUBE_JAVA\")", more).text()).isEqualTo("given");
        assertThat(java("System.getenv(\"CUBE_JAVA\")").text()).isEqualTo("null");
    }

    @Test
    void javaIsInterrupted() throws Exception {
        abandon("int left = 7;\nSystem.out.println(\"started\");\nThread.sleep(1000_000);", "java");
        assertThat(java("left").text()).isEqualTo("7");
        abandon("System.out.println(\"started\");\nwhile (true) {}", "java");
        assertThat(java("1 + 1").text()).as("killed if it cannot be interrupted").isEqualTo("2");
    }

    private void streams(String code, String language) throws Exception {
        Path gate = directory.resolve("gate-" + language);
        assumeTrue(!language.equals("r") || hasR(), "there is no R");
        try (InputStream body = sandbox.open(code.formatted(gate), Map.of("language", language))) {
            var lines = new BufferedReader(new InputStreamReader(body));
            assertThat(lines.readLine()).contains("number_of_executions");
            assertThat(lines.readLine()).contains("first");
            Files.createFile(gate);
            assertThat(lines.readLine()).contains("second");
        }
    }

    private static void abandon(String code, String language) throws Exception {
        assumeTrue(!language.equals("r") || hasR(), "there is no R");
        try (InputStream body = sandbox.open(code, Map.of("language", language))) {
            var lines = new BufferedReader(new InputStreamReader(body));
            lines.readLine();
            assertThat(lines.readLine()).contains("started");
        }
    }

    private static boolean hasR() {
        return Files.isExecutable(Path.of("/usr/bin/Rscript"));
    }

    private static Execution r(String code) {
        assumeTrue(hasR(), "there is no R");
        return sandbox.run(code, Map.of("language", "r"));
    }

    private static Execution java(String code) {
        return sandbox.run(code, Map.of("language", "java"));
    }
}
