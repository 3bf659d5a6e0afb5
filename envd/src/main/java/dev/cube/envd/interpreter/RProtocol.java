package dev.cube.envd.interpreter;

import java.util.Map;

/** What {@code kernel.R} speaks: lines on standard input, as it describes them. */
final class RProtocol extends MarkedProtocol {
    @Override
    String request(String execution, String code, Map<String, String> environment) {
        var request = new StringBuilder("execute ").append(execution).append(' ').append(environment.size()).append('\n');
        environment.forEach((name, value) -> request.append(line(name)).append(line(value)));
        return request.append(line(code)).toString();
    }

    /** R's strings hold no zero bytes, and it takes a carriage return for the end of a line. */
    private static String line(String text) {
        return text.replace("\0", "").replace("\r\n", "\n").replace('\r', '\n').replace("\\", "\\\\").replace("\n", "\\n") + "\n";
    }
}
