package dev.cube.cli;

import java.util.ArrayList;
import java.util.List;

/** Text in aligned columns. */
public final class Table {
    private static final String GAP = "  ";

    private final List<List<String>> rows = new ArrayList<>();
    private final boolean rightAligned;

    private Table(boolean rightAligned) {
        this.rightAligned = rightAligned;
    }

    /** Columns of text, with their headings. */
    public static Table of(String... headings) {
        return new Table(false).row((Object[]) headings);
    }

    /** Columns of numbers, with their headings; without a heading line if there are none. */
    public static Table ofNumbers(String... headings) {
        Table table = new Table(true);
        return headings.length == 0 ? table : table.row((Object[]) headings);
    }

    /** A name and a value on each line, without headings. */
    static Table ofFields() {
        return new Table(false);
    }

    /** Adds a line; null shows as {@code -}. */
    public Table row(Object... cells) {
        List<String> row = new ArrayList<>();
        for (Object cell : cells) {
            String text = cell == null ? "" : printable(cell.toString());
            row.add(text.isEmpty() ? "-" : text);
        }
        rows.add(row);
        return this;
    }

    /** Names and values come from users of the server: what could steer a terminal is not printed. */
    private static String printable(String text) {
        return text.codePoints()
                .map(c -> Character.isISOControl(c) ? '?' : c)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                .toString();
    }

    @Override
    public String toString() {
        int columns = rows.stream().mapToInt(List::size).max().orElse(0);
        int[] widths = new int[columns];
        for (List<String> row : rows) {
            for (int i = 0; i < row.size(); i++) {
                widths[i] = Math.max(widths[i], row.get(i).length());
            }
        }
        StringBuilder text = new StringBuilder();
        for (List<String> row : rows) {
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < row.size(); i++) {
                String padding = " ".repeat(widths[i] - row.get(i).length());
                line.append(i == 0 ? "" : GAP)
                        .append(rightAligned ? padding + row.get(i) : row.get(i) + padding);
            }
            text.append(line.toString().stripTrailing()).append(System.lineSeparator());
        }
        return text.toString();
    }
}
