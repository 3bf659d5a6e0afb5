package dev.cube.sdk;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The code interpreter's {@code /execute}: a request, and an answer of one JSON object a line. */
final class Interpreter {
    private final SandboxServices services;

    Interpreter(SandboxServices services) {
        this.services = services;
    }

    Execution execute(CodeRun run) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("code", run.code());
        run.language().ifPresent(language -> body.put("language", language));
        run.contextId().ifPresent(context -> body.put("context_id", context));
        if (!run.environment().isEmpty()) {
            body.put("env_vars", run.environment());
        }
        HttpRequest.Builder request = services.request(SandboxServices.INTERPRETER_PORT, "/execute")
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(Json.bytes(body)));
        try (BufferedReader lines = new BufferedReader(
                new InputStreamReader(services.http().open(request), StandardCharsets.UTF_8))) {
            return collect(lines, run);
        } catch (IOException e) {
            throw new CubeException("the connection to the sandbox broke: " + e.getMessage(), e);
        }
    }

    private static Execution collect(BufferedReader lines, CodeRun run) throws IOException {
        List<Execution.Result> results = new ArrayList<>();
        StringBuilder stdout = new StringBuilder();
        StringBuilder stderr = new StringBuilder();
        Optional<Execution.Error> error = Optional.empty();
        int count = 0;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            if (line.isBlank()) {
                continue;
            }
            JsonNode message = Json.tree(line.getBytes(StandardCharsets.UTF_8));
            switch (message.path("type").asText()) {
                case "result" -> results.add(new Execution.Result(message.path("is_main_result").asBoolean(), message));
                case "stdout" -> {
                    stdout.append(message.path("text").asText());
                    run.onStdout().accept(message.path("text").asText());
                }
                case "stderr" -> {
                    stderr.append(message.path("text").asText());
                    run.onStderr().accept(message.path("text").asText());
                }
                case "error" -> error = Optional.of(new Execution.Error(message.path("name").asText(),
                        message.path("value").asText(), message.path("traceback").asText()));
                case "number_of_executions" -> count = message.path("execution_count").asInt();
                default -> {
                    // Kinds of messages that later servers may add.
                }
            }
        }
        return new Execution(results, stdout.toString(), stderr.toString(), error, count);
    }
}
