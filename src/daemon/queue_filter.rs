//! `queues.include` and `queues.exclude`: a queue that is not kept is not seen by the feeds at all.

use crate::config::QueueFilter;
use crate::domain::call::{
    ConfigurationAnswer, ConfigurationCall, HistoricalAnswer, HistoricalCall, RealtimeCall,
    Snapshot,
};
use crate::thrio::{Answered, Source, ThrioError};

/// A source without the queues that the filter leaves out.
pub(super) struct FilteredSource {
    inner: Box<dyn Source>,
    filter: QueueFilter,
}

impl FilteredSource {
    /// The source itself where the filter leaves nothing out.
    pub(super) fn wrap(inner: Box<dyn Source>, filter: &QueueFilter) -> Box<dyn Source> {
        if *filter == QueueFilter::default() {
            return inner;
        }
        let filter = filter.clone();
        Box::new(Self { inner, filter })
    }
}

impl Source for FilteredSource {
    fn realtime(
        &mut self,
        call: &RealtimeCall,
        into: &mut Snapshot,
    ) -> Result<Answered<()>, ThrioError> {
        self.inner.realtime(call, into)
    }

    fn historical(
        &mut self,
        call: &HistoricalCall,
    ) -> Result<Answered<HistoricalAnswer>, ThrioError> {
        let mut answered = self.inner.historical(call)?;
        let rows = &mut answered.value.rows;
        rows.retain(|row| self.filter.keeps(&row.queue));
        Ok(answered)
    }

    fn configuration(
        &mut self,
        call: ConfigurationCall,
    ) -> Result<Answered<ConfigurationAnswer>, ThrioError> {
        let mut answered = self.inner.configuration(call)?;
        if let ConfigurationAnswer::Queues(list) = &mut answered.value {
            list.entries.retain(|queue| self.filter.keeps(&queue.id));
        }
        Ok(answered)
    }
}
