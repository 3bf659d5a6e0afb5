package dev.cube.sdk;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;

/**
 * A file or directory in a sandbox, in the shape of envd's {@code EntryInfo}.
 *
 * @param type        {@code FILE_TYPE_FILE} or {@code FILE_TYPE_DIRECTORY}
 * @param size        in bytes
 * @param mode        permission bits
 * @param permissions as {@code ls} writes them
 */
public record FileEntry(String name, String type, String path, long size, int mode, String permissions, String owner,
        String group, @JsonProperty("modifiedTime") Instant modified) {

    @JsonIgnore
    public boolean isDirectory() {
        return "FILE_TYPE_DIRECTORY".equals(type);
    }
}
