insert overwrite table daily partition (day) select * from events;
