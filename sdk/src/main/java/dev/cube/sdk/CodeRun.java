package dev.cube.sdk;

import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Code to run in a sandbox's interpreter.
 *
 * @param language  empty: Python
 * @param contextId empty: the default context
 * @param onStdout  is given output as it comes
 */
public record CodeRun(String code, Optional<String> language, Optional<String> contextId,
        Map<String, String> environment, Consumer<String> onStdout, Consumer<String> onStderr) {

    public static CodeRun of(String code) {
        return new CodeRun(code, Optional.empty(), Optional.empty(), Map.of(), text -> {}, text -> {});
    }
}
