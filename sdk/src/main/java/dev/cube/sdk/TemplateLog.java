package dev.cube.sdk;

import java.util.List;

/**
 * Log lines of the job that makes a template.
 *
 * @param nextOffset to ask the next ones with
 * @param state      of the template
 * @param reason     why it failed; null or empty otherwise
 */
public record TemplateLog(List<String> lines, int nextOffset, String state, String reason) {
    public TemplateLog {
        lines = lines == null ? List.of() : List.copyOf(lines);
    }
}
