//! One Prometheus registry, fed by OpenTelemetry instruments and, for histograms, by collectors of our own:
//! OpenTelemetry has no observable histogram.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Encoder as _, Registry, TextEncoder, core::Collector};

/// How many series a metric may have. The pipeline takes memory for all of them when the metric is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// One, or one for each word of a short list.
    Few,
    /// One for each service.
    PerService,
    /// One for each route, method and class of status.
    PerRoute,
}

/// Why metrics cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The OpenTelemetry pipeline was not built.
    #[error("the metrics pipeline cannot be built")]
    Pipeline(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// A collector was refused, or the registry cannot be written.
    #[error("the metrics registry failed")]
    Registry(#[from] prometheus::Error),
}

/// One observed value with its labels.
pub type Sample<V> = (V, Vec<(&'static str, String)>);

/// The metrics of one process.
pub struct Exporter {
    registry: Registry,
    // Dropping the provider would end the instruments.
    _provider: SdkMeterProvider,
    /// By [`Series::ALL`].
    meters: [Meter; 3],
}

impl Series {
    const ALL: [Self; 3] = [Self::Few, Self::PerService, Self::PerRoute];

    /// Most of them.
    const fn most(self) -> usize {
        match self {
            Self::Few => 64,
            // As many as a configuration may have.
            Self::PerService => 50_000,
            // 10,000 routes with a few methods and classes each.
            Self::PerRoute => 500_000,
        }
    }

    /// The name of its meter, which no metric shows.
    const fn scope(self) -> &'static str {
        match self {
            Self::Few => "few",
            Self::PerService => "services",
            Self::PerRoute => "routes",
        }
    }
}

impl Exporter {
    /// An empty registry.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_counter_suffixes()
            .without_units()
            .without_target_info()
            .scope_info_enabled(false)
            .build()?;
        let bound = |instrument: &Instrument| {
            let series = Series::ALL.into_iter().find(|series| series.scope() == instrument.scope().name())?;
            Stream::builder().with_cardinality_limit(series.most()).build().ok()
        };
        let provider = SdkMeterProvider::builder().with_reader(reader).with_view(bound).build();
        let meters = Series::ALL.map(|series| provider.meter(series.scope()));
        Ok(Self { registry, _provider: provider, meters })
    }

    /// A counter whose values are read at each scrape.
    pub fn counter<F>(&self, series: Series, name: &'static str, help: &'static str, read: F)
    where
        F: Fn(&mut dyn FnMut(Sample<u64>)) + Send + Sync + 'static,
    {
        let callback = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<u64>| {
            read(&mut |(value, labels)| observer.observe(value, &attributes(labels)));
        };
        // The provider keeps the callback; the handle itself has no use.
        let [few, per_service, per_route] = &self.meters;
        let meter = match series {
            Series::Few => few,
            Series::PerService => per_service,
            Series::PerRoute => per_route,
        };
        let _ = meter.u64_observable_counter(name).with_description(help).with_callback(callback).build();
    }

    /// A gauge with [`Series::Few`] whose values are read at each scrape.
    pub fn gauge<F>(&self, name: &'static str, help: &'static str, read: F)
    where
        F: Fn(&mut dyn FnMut(Sample<f64>)) + Send + Sync + 'static,
    {
        let callback = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<f64>| {
            read(&mut |(value, labels)| observer.observe(value, &attributes(labels)));
        };
        let [few, ..] = &self.meters;
        let _ = few.f64_observable_gauge(name).with_description(help).with_callback(callback).build();
    }

    /// A collector of our own.
    pub fn collector(&self, collector: impl Collector + 'static) -> Result<(), MetricsError> {
        Ok(self.registry.register(Box::new(collector))?)
    }

    /// The Prometheus text exposition of everything.
    pub fn render(&self) -> Result<String, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn attributes(labels: Vec<(&'static str, String)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_has_all_the_series_that_it_may_have() {
        let exporter = Exporter::new().unwrap();
        for (series, name, count) in
            [(Series::Few, "few", 60), (Series::PerService, "services", 2_000), (Series::PerRoute, "routes", 60_000)]
        {
            exporter.counter(series, name, "A test.", move |observe| {
                (0..count).for_each(|number| observe((1, vec![("label", number.to_string())])));
            });
            let text = exporter.render().unwrap();
            let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{label="))).count();
            assert_eq!(lines, count, "{name}");
            assert!(!text.contains("overflow"), "{name}");
        }
    }
}
