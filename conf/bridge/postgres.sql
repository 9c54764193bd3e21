-- An example bridge from the neutral tables to a product's own tables, for PostgreSQL.
--
-- With `after_apply = "product.thrio_edge_applied"` in the destination, thrio-edge calls the
-- procedure inside the transaction that writes its rows: the product sees both or neither. An
-- error here takes the rows back and holds the destination with the error's text; nothing is lost.
--
-- It is told the source and the range of applied_no that it has not been told before. Every row
-- that this range touched carries an applied_no in it; records may come late and in any order, so
-- it replaces, and never adds. The first call after `after_apply` was set reaches back to
-- everything that was delivered before.
--
-- Replace the two product tables by your own, and the user wfm by the one that thrio-edge logs in
-- as. The test suite runs this file as it is.

CREATE SCHEMA IF NOT EXISTS product;
GRANT USAGE ON SCHEMA product TO wfm;

CREATE TABLE IF NOT EXISTS product.queue_volume (
  queue text NOT NULL,
  starts_at timestamptz NOT NULL,
  offered bigint,
  abandoned bigint,
  handle_seconds bigint,
  is_final boolean NOT NULL,
  PRIMARY KEY (queue, starts_at)
);

CREATE TABLE IF NOT EXISTS product.agent_event (
  agent text NOT NULL,
  starts_at timestamptz NOT NULL,
  code text NOT NULL,
  PRIMARY KEY (agent, starts_at)
);

-- SECURITY DEFINER: the user of thrio-edge needs no rights on the product's tables.
CREATE OR REPLACE PROCEDURE product.thrio_edge_applied(
  p_source text, p_first_applied_no bigint, p_last_applied_no bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Figures. NULL stays NULL: the source did not say, which is not zero.
  INSERT INTO product.queue_volume AS v
    (queue, starts_at, offered, abandoned, handle_seconds, is_final)
  SELECT i.queue_id, i.interval_start, i.entered, i.abandoned, i.handle_time_s,
    i.status <> 'provisional'
  FROM public.wfm_queue_interval AS i
  WHERE i.source = p_source
    AND i.applied_no BETWEEN p_first_applied_no AND p_last_applied_no
  ON CONFLICT (queue, starts_at) DO UPDATE SET offered = excluded.offered,
    abandoned = excluded.abandoned, handle_seconds = excluded.handle_seconds,
    is_final = excluded.is_final;

  -- States, in the product's own codes. What nobody saw is told as unknown, never as logged out.
  INSERT INTO product.agent_event AS e (agent, starts_at, code)
  SELECT t.agent_id, t.started_at, CASE t.category
      WHEN 'AVAILABLE' THEN 'READY'
      WHEN 'BUSY' THEN 'ON_CONTACT'
      WHEN 'WORKING' THEN 'ON_CONTACT'
      WHEN 'WRAPUP' THEN 'AFTER_CONTACT'
      WHEN 'NO_ANSWER' THEN 'NOT_READY'
      WHEN 'AUX' THEN 'NOT_READY'
      WHEN 'LOGGED_IN' THEN 'NOT_READY'
      WHEN 'LOGGED_OUT' THEN 'OFF'
      WHEN 'UNMAPPED' THEN 'UNMAPPED'
      ELSE 'UNKNOWN' END
  FROM public.wfm_agent_state_transaction AS t
  WHERE t.source = p_source
    AND t.applied_no BETWEEN p_first_applied_no AND p_last_applied_no
  ON CONFLICT (agent, starts_at) DO UPDATE SET code = excluded.code;
END
$$;

REVOKE ALL ON PROCEDURE product.thrio_edge_applied(text, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE product.thrio_edge_applied(text, bigint, bigint) TO wfm;
