package dev.cube.envd.interpreter;

import java.util.Map;

/** What {@code kernel.bash} speaks: commands on standard input. */
final class BashProtocol extends MarkedProtocol {
    @Override
    String request(String execution, String code, Map<String, String> environment) {
        var request = new StringBuilder("__cube_begin ").append(execution);
        environment.forEach((name, value) -> request.append(' ').append(quoted(name)).append(' ').append(quoted(value)));
        // On lines of their own: an interrupt takes the rest of its line with it.
        request.append("\neval ").append(quoted(code)).append(" </dev/null\n__cube_end ").append(execution).append(" $?\n");
        return request.toString();
    }

    /** As a word of one line; Bash's strings hold no zero bytes. */
    private static String quoted(String text) {
        var word = new StringBuilder("$'");
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '\n' -> word.append("\\n");
                case '\'', '\\' -> word.append('\\').append(c);
                case 0 -> { }
                default -> word.append(c);
            }
        }
        return word.append('\'').toString();
    }
}
