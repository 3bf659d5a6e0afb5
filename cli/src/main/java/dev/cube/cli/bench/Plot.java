package dev.cube.cli.bench;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/**
 * Lines of milliseconds, on a logarithmic axis, over a linear one; as SVG that takes its colours from the page:
 * {@code s0}, {@code s1} … are the classes of the systems, {@code d0}, {@code d1} … those of the kinds of line.
 */
record Plot(String title, String xLabel, List<Line> lines) {
    /** One line; the label is written at its end. */
    record Line(int system, int kind, String label, List<Point> points) {}

    record Point(double x, double y) {}

    private static final int TOP = 34;
    private static final int BOTTOM = 38;
    private static final int LEFT = 44;
    private static final int LABEL_HEIGHT = 13;
    private static final double CHARACTER_WIDTH = 6.2;

    String svg(int width, int height) {
        List<Point> all = lines.stream().map(Line::points).flatMap(List::stream).toList();
        StringBuilder svg = new StringBuilder();
        svg.append("<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">\n"
                .formatted(width, height, width, height, Html.escape(title)));
        svg.append("<text class=\"title\" x=\"0\" y=\"16\">%s</text>\n".formatted(Html.escape(title)));
        if (all.isEmpty()) {
            return svg.append("<text x=\"0\" y=\"40\">nothing was measured</text>\n</svg>\n").toString();
        }
        new Drawing(svg, width, height, all, lines).draw(xLabel);
        return svg.append("</svg>\n").toString();
    }

    private static final class Drawing {
        private final StringBuilder svg;
        private final List<Line> lines;
        private final double right;
        private final double bottom;
        private final double maxX;
        private final double minY;
        private final double maxY;
        private final List<Double> xs;

        Drawing(StringBuilder svg, int width, int height, List<Point> all, List<Line> lines) {
            this.svg = svg;
            this.lines = lines;
            double labels = lines.stream().mapToDouble(line -> endLabel(line).length()).max().orElse(0);
            right = width - 12 - labels * CHARACTER_WIDTH;
            bottom = height - BOTTOM;
            maxX = all.stream().mapToDouble(Point::x).max().orElseThrow();
            minY = step(all.stream().mapToDouble(Point::y).min().orElseThrow(), false);
            maxY = Math.max(step(all.stream().mapToDouble(Point::y).max().orElseThrow(), true), 10 * minY);
            xs = all.stream().map(Point::x).distinct().sorted().toList();
        }

        void draw(String xLabel) {
            for (double y = minY; y <= maxY * 1.001; y = next(y)) {
                add("<line class=\"grid\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>", LEFT, y(y), right, y(y));
                add("<text class=\"tick\" x=\"%s\" y=\"%s\" text-anchor=\"end\">%s</text>", LEFT - 6, y(y) + 4,
                        number(y));
            }
            double lastLabel = Double.NEGATIVE_INFINITY;
            for (double x : xs) {
                add("<line class=\"axis\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>", x(x), bottom, x(x), bottom + 4);
                if (x(x) - lastLabel > 28) {
                    add("<text class=\"tick\" x=\"%s\" y=\"%s\" text-anchor=\"middle\">%s</text>", x(x), bottom + 16,
                            number(x));
                    lastLabel = x(x);
                }
            }
            add("<line class=\"axis\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>", LEFT, bottom, right, bottom);
            add("<text class=\"tick\" x=\"%s\" y=\"%s\" text-anchor=\"end\">%s</text>", right, bottom + 32,
                    Html.escape(xLabel));
            lines.forEach(this::line);
            endLabels();
        }

        private void line(Line line) {
            StringBuilder path = new StringBuilder();
            for (Point point : line.points) {
                path.append(path.isEmpty() ? "M" : "L").append(format(x(point.x))).append(' ').append(format(y(point.y)));
            }
            add("<path class=\"s%s d%s\" d=\"%s\"/>", line.system, line.kind, path);
            for (Point point : line.points) {
                add("<circle class=\"s%s\" cx=\"%s\" cy=\"%s\" r=\"3.5\"><title>%s: %s ms</title></circle>",
                        line.system, x(point.x), y(point.y), number(point.x), number(point.y));
            }
        }

        /** Kept apart from each other, from the top down. */
        private void endLabels() {
            double last = Double.NEGATIVE_INFINITY;
            List<Line> fromTheTop = new ArrayList<>(lines);
            fromTheTop.sort(Comparator.comparingDouble(line -> y(line.points.getLast().y)));
            for (Line line : fromTheTop) {
                double at = Math.max(y(line.points.getLast().y) + 4, last + LABEL_HEIGHT);
                add("<text class=\"end s%s\" x=\"%s\" y=\"%s\">%s</text>", line.system,
                        x(line.points.getLast().x) + 8, at, Html.escape(endLabel(line)));
                last = at;
            }
        }

        private static String endLabel(Line line) {
            return (line.label + " " + number(line.points.getLast().y)).strip();
        }

        private double x(double x) {
            return maxX == 0 ? LEFT : LEFT + 8 + (right - LEFT - 8) * x / maxX;
        }

        private double y(double y) {
            return bottom - (bottom - TOP) * Math.log(y / minY) / Math.log(maxY / minY);
        }

        /** The nearest of 1, 2, 5, 10 … that is not above, or not below. */
        private static double step(double value, boolean up) {
            double positive = Math.max(value, 0.1);
            double at = Math.pow(10, Math.floor(Math.log10(positive)));
            while (next(at) <= positive * 1.000001) {
                at = next(at);
            }
            return up && at < positive * 0.999999 ? next(at) : at;
        }

        private static double next(double step) {
            double mantissa = step / Math.pow(10, Math.floor(Math.log10(step * 1.000001)));
            return mantissa > 1.5 && mantissa < 3 ? step * 2.5 : step * 2;
        }

        private static String number(double value) {
            boolean whole = value >= 100 || value == Math.rint(value);
            return String.format(Locale.ROOT, whole ? "%.0f" : "%.1f", value);
        }

        private static String format(double value) {
            return String.format(Locale.ROOT, "%.1f", value);
        }

        private void add(String element, Object... values) {
            for (int i = 0; i < values.length; i++) {
                if (values[i] instanceof Double number) {
                    values[i] = format(number);
                }
            }
            svg.append(element.formatted(values)).append('\n');
        }
    }
}
