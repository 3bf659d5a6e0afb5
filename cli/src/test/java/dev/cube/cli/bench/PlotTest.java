package dev.cube.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.cli.bench.Plot.Line;
import dev.cube.cli.bench.Plot.Point;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class PlotTest {
    private static final Pattern CIRCLE = Pattern.compile("<circle class=\"s(\\d)\" cx=\"([\\d.]+)\" cy=\"([\\d.]+)\"");

    @Test
    void higherFiguresAreHigherUpAndAllAreInside() {
        String svg = new Plot("t", "x", List.of(
                new Line(0, 0, "", List.of(new Point(1, 40), new Point(10, 400))),
                new Line(1, 0, "", List.of(new Point(1, 4), new Point(10, 40))))).svg(300, 200);
        List<double[]> circles = CIRCLE.matcher(svg).results()
                .map(m -> new double[] {Double.parseDouble(m.group(2)), Double.parseDouble(m.group(3))}).toList();
        assertThat(circles).hasSize(4).allSatisfy(circle -> {
            assertThat(circle[0]).isBetween(0.0, 300.0);
            assertThat(circle[1]).isBetween(0.0, 200.0);
        });
        assertThat(circles.get(1)[1]).isLessThan(circles.get(0)[1]);
        assertThat(circles.get(0)[1]).isEqualTo(circles.get(3)[1]);
        assertThat(circles.get(2)[1]).isGreaterThan(circles.get(3)[1]);
    }

    @Test
    void marksRoundFiguresOnTheScale() {
        String svg = new Plot("t", "x", List.of(new Line(0, 0, "", List.of(new Point(0, 3), new Point(5, 1900)))))
                .svg(300, 200);
        assertThat(Pattern.compile("text-anchor=\"end\">([\\d.]+)<").matcher(svg).results().map(m -> m.group(1)))
                .containsExactly("2", "5", "10", "20", "50", "100", "200", "500", "1000", "2000");
    }

    @Test
    void saysThatThereIsNothing() {
        assertThat(new Plot("t", "x", List.of()).svg(300, 200)).contains("nothing was measured");
    }
}
