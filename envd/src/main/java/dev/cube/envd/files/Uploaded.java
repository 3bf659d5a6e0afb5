package dev.cube.envd.files;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.cube.envd.user.GuestPaths;
import java.util.Map;

/** A file that was written, as the answer tells of it. */
record Uploaded(String path, String name, String type,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, String> metadata) {
    static Uploaded of(String path, Map<String, String> metadata) {
        return new Uploaded(path, GuestPaths.name(path), "file", metadata);
    }
}
