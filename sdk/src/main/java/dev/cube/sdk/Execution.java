package dev.cube.sdk;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Optional;

/**
 * What a run of code gave.
 *
 * @param results values shown, each with its representations by name ({@code text}, {@code html}, {@code png}, …)
 * @param error   the exception that ended it, if one did
 */
public record Execution(List<Result> results, String stdout, String stderr, Optional<Error> error,
        int executionCount) {

    /**
     * One shown value.
     *
     * @param main whether it is the value of the code's last expression
     */
    public record Result(boolean main, JsonNode representations) {
        public Optional<String> text() {
            return Optional.ofNullable(representations.path("text").asText(null));
        }
    }

    /** An exception in the code that was run. */
    public record Error(String name, String value, String traceback) {}

    /** The value of the last expression as text; null if it had none. */
    public String text() {
        return results.stream().filter(Result::main).findFirst().flatMap(Result::text).orElse(null);
    }
}
