-- An example bridge from the neutral tables to a product's own tables, for SQL Server (2012 and
-- later). The same as postgres.sql, which explains it; here the tables lie in the schema dbo.
--
-- thrio-edge calls it as EXEC product.thrio_edge_applied @source, @first_applied_no,
-- @last_applied_no inside the transaction that writes its rows. It runs under XACT_ABORT ON: an
-- error takes the rows back and holds the destination with its text. It must neither commit nor roll
-- back by itself.

IF SCHEMA_ID(N'product') IS NULL EXEC (N'CREATE SCHEMA product');
GO
IF OBJECT_ID(N'product.queue_volume') IS NULL
  CREATE TABLE product.queue_volume (
    queue nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
    starts_at datetime2(3) NOT NULL,
    offered bigint NULL,
    abandoned bigint NULL,
    handle_seconds bigint NULL,
    is_final bit NOT NULL,
    PRIMARY KEY (queue, starts_at)
  );
IF OBJECT_ID(N'product.agent_event') IS NULL
  CREATE TABLE product.agent_event (
    agent nvarchar(256) COLLATE Latin1_General_100_BIN2 NOT NULL,
    starts_at datetime2(3) NOT NULL,
    code varchar(20) NOT NULL,
    PRIMARY KEY (agent, starts_at)
  );
GO
IF OBJECT_ID(N'product.thrio_edge_applied') IS NOT NULL
  DROP PROCEDURE product.thrio_edge_applied;
GO
CREATE PROCEDURE product.thrio_edge_applied
  @source nvarchar(32), @first_applied_no bigint, @last_applied_no bigint
AS
BEGIN
  SET NOCOUNT ON;
  SET XACT_ABORT ON;

  -- Figures. NULL stays NULL: the source did not say, which is not zero.
  UPDATE v SET offered = i.entered, abandoned = i.abandoned, handle_seconds = i.handle_time_s,
    is_final = CASE WHEN i.status = 'provisional' THEN 0 ELSE 1 END
  FROM product.queue_volume AS v
  JOIN dbo.wfm_queue_interval AS i ON i.queue_id = v.queue AND i.interval_start = v.starts_at
  WHERE i.source = @source AND i.applied_no BETWEEN @first_applied_no AND @last_applied_no;

  INSERT INTO product.queue_volume (queue, starts_at, offered, abandoned, handle_seconds, is_final)
  SELECT i.queue_id, i.interval_start, i.entered, i.abandoned, i.handle_time_s,
    CASE WHEN i.status = 'provisional' THEN 0 ELSE 1 END
  FROM dbo.wfm_queue_interval AS i
  WHERE i.source = @source AND i.applied_no BETWEEN @first_applied_no AND @last_applied_no
    AND NOT EXISTS (SELECT 1 FROM product.queue_volume AS v
      WHERE v.queue = i.queue_id AND v.starts_at = i.interval_start);

  -- States, in the product's own codes. What nobody saw is told as unknown, never as logged out.
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
      ELSE 'UNKNOWN' END AS code
  INTO #changed
  FROM dbo.wfm_agent_state_transaction AS t
  WHERE t.source = @source AND t.applied_no BETWEEN @first_applied_no AND @last_applied_no;

  UPDATE e SET code = c.code
  FROM product.agent_event AS e
  JOIN #changed AS c ON c.agent_id = e.agent AND c.started_at = e.starts_at;

  INSERT INTO product.agent_event (agent, starts_at, code)
  SELECT c.agent_id, c.started_at, c.code FROM #changed AS c
  WHERE NOT EXISTS (SELECT 1 FROM product.agent_event AS e
    WHERE e.agent = c.agent_id AND e.starts_at = c.started_at);
END
GO
