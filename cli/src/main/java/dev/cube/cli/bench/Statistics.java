package dev.cube.cli.bench;

import java.util.Arrays;
import java.util.Collection;

/**
 * Figures of a set of samples, all in the samples' unit; NaN where there are none. A percentile is a sample: the
 * smallest that at least so many percent are not above (nearest rank).
 */
record Statistics(int count, double avg, double min, double p50, double p90, double p95, double p99, double max) {

    static Statistics of(Collection<Double> samples) {
        double[] sorted = samples.stream().mapToDouble(Double::doubleValue).sorted().toArray();
        if (sorted.length == 0) {
            return new Statistics(0, Double.NaN, Double.NaN, Double.NaN, Double.NaN, Double.NaN, Double.NaN,
                    Double.NaN);
        }
        return new Statistics(sorted.length, Arrays.stream(sorted).average().orElseThrow(), sorted[0],
                percentile(sorted, 50), percentile(sorted, 90), percentile(sorted, 95), percentile(sorted, 99),
                sorted[sorted.length - 1]);
    }

    private static double percentile(double[] sorted, int percent) {
        int rank = (int) Math.ceil(percent / 100.0 * sorted.length);
        return sorted[rank - 1];
    }
}
